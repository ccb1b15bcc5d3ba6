import { keepPreviousData, useInfiniteQuery, useQueries } from "@tanstack/react-query";
import { createRoute } from "@tanstack/react-router";
import { useEffect, useMemo, useRef, useState } from "react";
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
import { type Axis, curveNames, type RunCurves } from "./curves";
import { GroupMenu } from "./GroupMenu";
import { grouped, groupings } from "./groups";
import { RunsTable } from "./RunsTable";
import { Spreads } from "./Standing";
import "./tracking.css";
import { ViewsMenu } from "./ViewsMenu";
import { keptOf } from "./views";

interface RunsSearch {
  filter?: string;
  order?: string;
  columns?: string[];
  group?: string;
  folded?: string[];
  selected?: string[];
  differs?: boolean;
  axis?: Axis;
  smoothing?: number;
  view?: string;
}

export const runsRoute = createRoute({
  getParentRoute: () => projectRoute,
  path: "runs",
  validateSearch: (search: Record<string, unknown>): RunsSearch => ({
    ...(typeof search.filter === "string" && search.filter ? { filter: search.filter } : {}),
    ...(typeof search.order === "string" ? { order: search.order } : {}),
    ...(Array.isArray(search.columns) ? { columns: search.columns.map(String) } : {}),
    ...(typeof search.group === "string" && search.group ? { group: search.group } : {}),
    ...(Array.isArray(search.folded) && search.folded.length ? { folded: search.folded.map(String) } : {}),
    ...(Array.isArray(search.selected) && search.selected.length ? { selected: search.selected.map(String) } : {}),
    ...(search.differs === true ? { differs: true } : {}),
    ...(search.axis === "time" ? { axis: "time" } : {}),
    ...(typeof search.smoothing === "number" && search.smoothing ? { smoothing: search.smoothing } : {}),
    ...(typeof search.view === "string" && search.view ? { view: search.view } : {}),
  }),
  component: RunsPage,
});

const PAGE = 1000;
const MOST_CURVES = 14;
/** More pages than this are not read again at each change in the project: the foot says that there is something newer. */
const LIVE_PAGES = 2;
const MOST_GROUPED = 10_000;
const NO_KEYS: string[] = [];

function RunsPage() {
  const project = useProject();
  const search = runsRoute.useSearch();
  const navigate = runsRoute.useNavigate();
  const change = (part: Partial<RunsSearch>) => void navigate({ search: (before) => ({ ...before, ...part }), replace: true });
  const { filter, order = "-started", differs = false, selected = NO_KEYS, group, folded = NO_KEYS } = search;
  const [reached, setReached] = useState(0);
  const query = useInfiniteQuery({
    queryKey: ["runs", project, filter, order],
    queryFn: ({ pageParam, signal }) =>
      read("/api/v1/projects/{project}/runs", { project, filter: filter ?? null, order, limit: PAGE, cursor: pageParam ?? null }, signal),
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next_cursor,
    placeholderData: keepPreviousData,
    meta: { fixed: reached > LIVE_PAGES },
    retry: (failures, error) => !(error instanceof ServerError && error.status === 400) && failures < 3,
  });
  const pagesRead = query.data?.pages.length ?? 0;
  useEffect(() => setReached(pagesRead), [pagesRead]);
  const experiments = useRead("/api/v1/projects/{project}/experiments", { project });
  const total = experiments.data?.reduce((sum, one) => sum + one.runs, 0);
  // A filter that can't be read leaves the rows of the last one that could.
  const lastRead = useRef(query.data);
  if (query.data) lastRead.current = query.data;
  const { current: pages } = lastRead;
  const runs = useMemo(() => pages?.pages.flatMap((page) => page.items) ?? [], [pages]);
  const more = query.hasNextPage && !query.isFetchingNextPage && !query.isPlaceholderData;
  const { fetchNextPage } = query;
  // Groups are of all runs that the filter finds, and not of those only that were scrolled to.
  const wholly = !!group && more && runs.length < MOST_GROUPED;
  useEffect(() => {
    if (wholly) void fetchNextPage();
  }, [wholly, fetchNextPage]);
  const chosen = useMemo(() => {
    const byId = new Map(runs.map((run) => [run.id, run]));
    return selected.flatMap((id) => byId.get(id) ?? []);
  }, [runs, selected]);
  const all = useMemo(() => columnsOf(runs), [runs]);
  const first = useMemo(() => defaultColumns(all, runs), [all, runs]);
  const wanted = search.columns ?? first;
  const columns = useMemo(() => {
    const byId = new Map(all.map((column) => [column.id, column]));
    const shown = wanted.flatMap((id) => byId.get(id) ?? []);
    return differs ? differing(shown, chosen.length > 1 ? chosen : runs) : shown;
  }, [all, wanted, differs, chosen, runs]);
  const groups = useMemo(() => (group ? grouped(runs, group) : null), [runs, group]);
  const by = useMemo(() => groupings(all), [all]);
  const wrong = query.error instanceof ServerError && query.error.status === 400 ? query.error.message : undefined;
  const newer = reached > LIVE_PAGES && !filter && !query.hasNextPage && total !== undefined ? total - runs.length : 0;

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
        <GroupMenu all={by} by={group} change={(id) => change({ group: id, folded: undefined })} />
        <ColumnsMenu all={all} shown={wanted} change={(ids) => change({ columns: ids })} />
        <ViewsMenu view={search.view} kept={keptOf(search)} />
      </div>
      <div className="runs-layout" data-beside={selected.length > 0}>
        <section className="panel" aria-label="Runs">
          {runs.length ? (
            <RunsTable
              runs={runs}
              columns={columns}
              order={order}
              selected={selected}
              groups={groups}
              groupedBy={group}
              folded={folded}
              onOrder={(next) => change({ order: next })}
              onSelect={(ids) => change({ selected: ids.length ? ids : undefined })}
              onFold={(keys) => change({ folded: keys.length ? keys : undefined })}
              onEnd={() => more && void fetchNextPage()}
            />
          ) : (
            <Empty title={wrong ? "The filter can't be read" : "No run is like that"}>
              {wrong
                ? "Above stands where it stops making sense."
                : total
                  ? `${count(total, "run")} in this project; none passes the filter.`
                  : "Loosen the filter."}
            </Empty>
          )}
          <div className="runs-foot">
            <span>
              {query.hasNextPage ? `the first ${runs.length.toLocaleString("en-US")}` : runs.length.toLocaleString("en-US")}
              {total !== undefined && ` of ${count(total, "run")}`}
              {groups && ` in ${count(groups.length, "group")}`}
              {selected.length > 0 && ` · ${selected.length} selected`}
              {newer > 0 && (
                <>
                  {" · "}
                  <button type="button" className="button small" onClick={() => void query.refetch()}>
                    {count(newer, "newer run")}: read again
                  </button>
                </>
              )}
            </span>
            <span>
              {selected.length > 0 ? (
                <button type="button" className="button quiet small" onClick={() => change({ selected: undefined })}>
                  clear selection
                </button>
              ) : (
                <span className="keys">
                  select to compare · <kbd>j</kbd> <kbd>k</kbd> move · <kbd>x</kbd> select · <kbd>/</kbd> filter
                </span>
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

/** The selected runs over each other, in the colours that they have in the table: curves, and single values as dots. */
function Beside({ project, selected, runs, search, change }: BesideProps) {
  const { axis = "step", smoothing = 0 } = search;
  const drawn = selected.slice(0, MOST_CURVES);
  const byId = useMemo(() => new Map(runs.map((run) => [run.id, run])), [runs]);
  const found = useQueries({
    queries: drawn.map((run_id) => ({
      queryKey: ["series", project, run_id],
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        read("/api/v1/projects/{project}/runs/{run_id}/series", { project, run_id, buckets: 400 }, signal),
      meta: { fixed: !!byId.get(run_id)?.ended_at },
    })),
  });
  const curves: RunCurves[] = drawn.map((id, index) => ({
    label: byId.get(id)?.name ?? id,
    token: seriesToken(index),
    curves: found[index]?.data ?? [],
  }));
  const waiting = found.some((one) => one.isPending);
  const failed = found.find((one) => one.error)?.error;
  const names = curveNames(curves);
  const own = names.filter((name) => !name.startsWith("system/"));
  const system = names.filter((name) => name.startsWith("system/"));
  const pointed = drawn.flatMap((id, index) => {
    const run = byId.get(id);
    return run ? [{ run, token: seriesToken(index) }] : [];
  });
  return (
    <div className="beside">
      <Panel
        title={count(drawn.length, "run")}
        said={selected.length > MOST_CURVES ? `the first ${MOST_CURVES} are drawn` : undefined}
        aside={own.length > 0 && <CurveTools axis={axis} smoothing={smoothing} change={change} />}
        flush
      >
        {failed && <Trouble error={failed} />}
        <Spreads selected={pointed} runs={runs} />
        {waiting ? <Waiting for="the curves" /> : own.length > 0 && <Curves runs={curves} axis={axis} smoothing={smoothing} names={own} />}
        {system.length > 0 && (
          <details>
            <summary>
              <b>Machine</b> <span className="third">{count(system.length, "curve")}</span>
            </summary>
            <Curves runs={curves} axis={axis} smoothing={smoothing} names={system} />
          </details>
        )}
        {!waiting && !names.length && !pointed.some(({ run }) => Object.keys(run.metrics).length) && (
          <Empty title="These runs have logged nothing" />
        )}
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
