import { keepPreviousData, useInfiniteQuery, useQueries } from "@tanstack/react-query";
import { createRoute } from "@tanstack/react-router";
import { useMemo, useRef, useState } from "react";
import { read, ServerError } from "../api/client";
import { useRead } from "../api/queries";
import { count } from "../design/format";
import { Panel } from "../design/Panel";
import { Empty, Trouble, Waiting } from "../design/States";
import { seriesToken } from "../design/theme";
import { projectRoute, useProject } from "../shell/root";
import { ColumnsMenu } from "./ColumnsMenu";
import { Curves, CurveTools } from "./Curves";
import { columnsOf, defaultColumns, differing, type RunRow } from "./columns";
import type { Axis, RunCurves } from "./curves";
import { RunsTable } from "./RunsTable";
import "./tracking.css";

interface RunsSearch {
  filter?: string;
  order?: string;
  columns?: string[];
  selected?: string[];
  differs?: boolean;
  axis?: Axis;
  smoothing?: number;
}

export const runsRoute = createRoute({
  getParentRoute: () => projectRoute,
  path: "runs",
  validateSearch: (search: Record<string, unknown>): RunsSearch => ({
    ...(typeof search.filter === "string" && search.filter ? { filter: search.filter } : {}),
    ...(typeof search.order === "string" ? { order: search.order } : {}),
    ...(Array.isArray(search.columns) ? { columns: search.columns.map(String) } : {}),
    ...(Array.isArray(search.selected) && search.selected.length ? { selected: search.selected.map(String) } : {}),
    ...(search.differs === true ? { differs: true } : {}),
    ...(search.axis === "time" ? { axis: "time" } : {}),
    ...(typeof search.smoothing === "number" && search.smoothing ? { smoothing: search.smoothing } : {}),
  }),
  component: RunsPage,
});

const PAGE = 500;
const MOST_CURVES = 14;

function RunsPage() {
  const project = useProject();
  const search = runsRoute.useSearch();
  const navigate = runsRoute.useNavigate();
  const change = (part: Partial<RunsSearch>) => void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
  const { filter, order = "-started", differs = false, selected = [] } = search;
  const query = useInfiniteQuery({
    queryKey: ["runs", project, filter, order],
    queryFn: ({ pageParam, signal }) =>
      read("/api/v1/projects/{project}/runs", { project, filter: filter ?? null, order, limit: PAGE, cursor: pageParam ?? null }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor,
    placeholderData: keepPreviousData,
    retry: (failures, error) => !(error instanceof ServerError && error.status === 400) && failures < 3,
  });
  const experiments = useRead("/api/v1/projects/{project}/experiments", { project });
  const total = experiments.data?.reduce((sum, one) => sum + one.runs, 0);
  // A filter that can't be read leaves the rows of the last one that could.
  const lastRead = useRef(query.data);
  if (query.data) lastRead.current = query.data;
  const { current: pages } = lastRead;
  const runs = useMemo(() => pages?.pages.flatMap((page) => page.items) ?? [], [pages]);
  const chosen = useMemo(() => runs.filter((run) => selected.includes(run.id)), [runs, selected]);
  const all = useMemo(() => columnsOf(runs), [runs]);
  const wanted = search.columns ?? defaultColumns(all, runs);
  const shown = all.filter((column) => wanted.includes(column.id)).sort((a, b) => wanted.indexOf(a.id) - wanted.indexOf(b.id));
  const columns = differs ? differing(shown, chosen.length > 1 ? chosen : runs) : shown;
  const wrong = query.error instanceof ServerError && query.error.status === 400 ? query.error.message : undefined;

  if (query.error && !pages && !wrong) return <Trouble error={query.error} retry={() => void query.refetch()} />;
  if (!pages && !wrong) return <Waiting for="the runs" />;
  if (!runs.length && !filter && !wrong) return <NoRuns />;
  return (
    <>
      <h1 className="visually-hidden">Runs</h1>
      <div className="runs-tools">
        <Filter value={filter ?? ""} problem={wrong} change={(text) => change({ filter: text || undefined })} />
        <button type="button" className="button" aria-pressed={differs} onClick={() => change({ differs: differs ? undefined : true })}>
          Only what differs
        </button>
        <ColumnsMenu all={all} shown={wanted} change={(ids) => change({ columns: ids })} />
        {search.columns && (
          <button type="button" className="button quiet" onClick={() => change({ columns: undefined })}>
            Reset
          </button>
        )}
      </div>
      <div className="runs-layout" data-beside={selected.length > 0}>
        <section className="panel" aria-label="Runs">
          {runs.length ? (
            <RunsTable
              runs={runs}
              columns={columns}
              order={order}
              selected={selected}
              onOrder={(next) => change({ order: next })}
              onSelect={(ids) => change({ selected: ids.length ? ids : undefined })}
              onEnd={() => query.hasNextPage && !query.isFetchingNextPage && void query.fetchNextPage()}
            />
          ) : (
            <Empty title={wrong ? "The filter can't be read" : "No run is like that"}>
              {total ? `${count(total, "run")} in this project; none passes the filter.` : "Loosen the filter."}
            </Empty>
          )}
          <div className="runs-foot">
            <span>
              {query.hasNextPage ? `the first ${runs.length.toLocaleString("en-US")}` : runs.length.toLocaleString("en-US")}
              {total !== undefined && ` of ${count(total, "run")}`}
              {selected.length > 0 && ` · ${selected.length} selected`}
            </span>
            <span>
              {selected.length > 0 ? (
                <button type="button" className="button quiet" style={{ height: 20 }} onClick={() => change({ selected: undefined })}>
                  clear selection
                </button>
              ) : (
                "select runs to see their curves; j k x with the keyboard"
              )}
            </span>
          </div>
        </section>
        {selected.length > 0 && <Beside project={project} selected={selected} runs={runs} search={search} change={change} />}
      </div>
    </>
  );
}

function Filter({ value, problem, change }: { value: string; problem: string | undefined; change: (text: string) => void }) {
  const [typed, setTyped] = useState(value);
  const [last, setLast] = useState(value);
  if (value !== last) {
    setLast(value);
    setTyped(value);
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        change(typed.trim());
      }}
    >
      <input
        className="field mono"
        data-filter
        type="search"
        aria-label="Filter of runs"
        aria-invalid={!!problem}
        aria-describedby="filter-problem"
        spellCheck={false}
        placeholder="metrics.auc > 0.70 and params.learning_rate < 0.2"
        value={typed}
        onChange={(event) => {
          setTyped(event.target.value);
          if (!event.target.value) change("");
        }}
        onBlur={() => typed.trim() !== value && change(typed.trim())}
      />
      <p id="filter-problem" className="problem" role="alert" hidden={!problem}>
        {problem}
      </p>
    </form>
  );
}

interface BesideProps {
  project: string;
  selected: string[];
  runs: RunRow[];
  search: RunsSearch;
  change: (part: Partial<RunsSearch>) => void;
}

/** The curves of the selected runs, in the colours that they have in the table. */
function Beside({ project, selected, runs, search, change }: BesideProps) {
  const { axis = "step", smoothing = 0 } = search;
  const drawn = selected.slice(0, MOST_CURVES);
  const found = useQueries({
    queries: drawn.map((run_id) => ({
      queryKey: ["series", project, run_id],
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        read("/api/v1/projects/{project}/runs/{run_id}/series", { project, run_id, buckets: 400 }, signal),
      meta: { fixed: !!runs.find((run) => run.id === run_id)?.ended_at },
    })),
  });
  const names = new Map(runs.map((run) => [run.id, run.name]));
  const curves: RunCurves[] = drawn.map((id, index) => ({
    label: names.get(id) ?? id,
    token: seriesToken(index),
    curves: found[index]?.data ?? [],
  }));
  const waiting = found.some((one) => one.isPending);
  return (
    <div className="beside">
      <Panel
        title={count(drawn.length, "run")}
        said={selected.length > MOST_CURVES ? `the first ${MOST_CURVES} are drawn` : undefined}
        aside={<CurveTools axis={axis} smoothing={smoothing} change={change} />}
        flush
      >
        {waiting ? <Waiting for="the curves" /> : <Curves runs={curves} axis={axis} smoothing={smoothing} />}
      </Panel>
    </div>
  );
}

function NoRuns() {
  return (
    <Empty title="No run yet" command={'with clew.run("a first try") as run:\n    run.log(loss=0.31, step=1)'}>
      Two lines in any script record one; it appears here while it runs.
    </Empty>
  );
}
