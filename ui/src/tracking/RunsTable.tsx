import { useRouter } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type CSSProperties, type KeyboardEvent, type MouseEvent, memo, useEffect, useMemo, useRef, useState } from "react";
import { RunLink } from "../catalog/links";
import { count } from "../design/format";
import { RunStatus } from "../design/Pill";
import { seriesToken } from "../design/theme";
import { useProject } from "../shell/root";
import { cellOf, nextOrder, type RunColumn, type RunRow, written } from "./columns";
import { type Line, linesOf, type RunGroup, summary } from "./groups";
import { useProduced } from "./produced";

interface RunsTableProps {
  runs: RunRow[];
  columns: RunColumn[];
  order: string;
  selected: string[];
  groups: RunGroup[] | null;
  groupedBy: string | undefined;
  folded: string[];
  onOrder: (order: string | undefined) => void;
  onSelect: (ids: string[]) => void;
  onFold: (keys: string[]) => void;
  onEnd: () => void;
}

const ROW = 30;
/** The head stays on top inside of what scrolls: rows begin below it, and none may hide behind it. */
const UNDER_HEAD = { scrollMargin: ROW, scrollPaddingStart: ROW };

function widthOf(column: RunColumn, grouped: boolean): number {
  if (column.id === "status") return 92;
  if (column.id === "started") return 120;
  if (column.id === "duration") return grouped ? 120 : 76;
  return column.numeric ? Math.min(Math.max(grouped ? 150 : 104, column.title.length * 7.4 + 34), 190) : 130;
}

const rowId = (line: Line) => (line.kind === "group" ? `group-${line.group.key}` : `row-${line.run.id}`);

/** Thousands of runs: only the rows in sight are in the page. Arrows or `j` `k` move, `x` selects, Enter opens, left and right fold. */
export function RunsTable(props: RunsTableProps) {
  const { runs, columns, order, selected, groups, groupedBy, folded, onOrder, onSelect, onFold, onEnd } = props;
  const project = useProject();
  const router = useRouter();
  const produced = useProduced();
  const scroll = useRef<HTMLDivElement>(null);
  const [at, setAt] = useState(-1);
  const anchor = useRef<string | null>(null);
  const chosen = useMemo(() => new Map(selected.map((id, index) => [id, seriesToken(index)])), [selected]);
  const ranges = useMemo(
    () => new Map(columns.filter((column) => MEASURED.has(column.family)).map((column) => [column.id, rangeOf(runs, column.id)])),
    [columns, runs],
  );
  const lines = useMemo(() => linesOf(runs, groups, new Set(folded)), [runs, groups, folded]);
  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => ROW,
    overscan: 12,
    ...UNDER_HEAD,
  });
  const inSight = virtual.getVirtualItems();
  const last = inSight.at(-1)?.index ?? 0;
  useEffect(() => {
    if (last >= lines.length - 40) onEnd();
  }, [last, lines.length, onEnd]);

  const toggle = (ids: string[]) => {
    const all = ids.every((id) => chosen.has(id));
    const gone = new Set(ids);
    onSelect(all ? selected.filter((id) => !gone.has(id)) : [...selected, ...ids.filter((id) => !chosen.has(id))]);
  };
  /** A click selects one run; with Shift, all from the last one clicked to this. */
  const pick = (id: string, shift: boolean) => {
    const ids = lines.flatMap((line) => (line.kind === "run" ? [line.run.id] : []));
    const [from, to] = [anchor.current ? ids.indexOf(anchor.current) : -1, ids.indexOf(id)];
    anchor.current = id;
    if (!shift || from < 0) return toggle([id]);
    const span = ids.slice(Math.min(from, to), Math.max(from, to) + 1);
    onSelect([...selected, ...span.filter((one) => !chosen.has(one))]);
  };
  const fold = (key: string) => onFold(folded.includes(key) ? folded.filter((one) => one !== key) : [...folded, key]);
  const go = (to: number) => {
    const next = Math.min(Math.max(to, 0), lines.length - 1);
    setAt(next);
    virtual.scrollToIndex(next);
  };
  const pressed = (event: KeyboardEvent) => {
    const page = Math.max(Math.floor((scroll.current?.clientHeight ?? 300) / ROW) - 2, 1);
    const steps: Record<string, number> = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1, PageDown: page, PageUp: -page };
    const ends: Record<string, number> = { Home: 0, End: lines.length - 1 };
    const line = lines[at];
    const inside = event.target === event.currentTarget;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = steps[event.key];
    const end = ends[event.key];
    if (step !== undefined) go(at + step);
    else if (end !== undefined) go(end);
    else if (!line) return;
    else if (event.key === "x" || (event.key === " " && inside))
      toggle(line.kind === "run" ? [line.run.id] : line.group.runs.map((run) => run.id));
    else if (event.key === "Enter" && inside && line.kind === "group") fold(line.group.key);
    else if (event.key === "Enter" && inside && line.kind === "run") router.history.push(addressOfRun(project, line.run.id));
    else if (event.key === "ArrowLeft" && groups) {
      const heading = lines.slice(0, at + 1).findLastIndex((one) => one.kind === "group");
      const over = lines[heading];
      if (over?.kind !== "group") return;
      if (over.open) fold(over.group.key);
      go(heading);
    } else if (event.key === "ArrowRight" && line.kind === "group" && !line.open) fold(line.group.key);
    else return;
    event.preventDefault();
  };
  const followed = (event: MouseEvent) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    router.history.push(link.getAttribute("href") ?? "");
  };
  const drawn = useMemo(
    () => columns.map((column): Drawn => ({ column, width: widthOf(column, !!groups), range: ranges.get(column.id) })),
    [columns, groups, ranges],
  );
  // Rows are drawn once while they stay in sight, so what they call must stay the same.
  const acts = useRef({ pick, toggle, fold });
  acts.current = { pick, toggle, fold };
  const here = lines[at];
  return (
    <div
      className="runs-scroll"
      ref={scroll}
      tabIndex={0}
      onKeyDown={pressed}
      onClick={followed}
      onFocus={(event) => event.target === event.currentTarget && at < 0 && setAt(0)}
      role="grid"
      aria-label="Runs"
      aria-rowcount={lines.length}
      aria-multiselectable="true"
      aria-activedescendant={here ? rowId(here) : undefined}
    >
      <div className="runs">
        <div role="rowgroup" className="heads">
          <Head drawn={drawn} order={order} onOrder={onOrder} />
        </div>
        <div role="rowgroup" className="body" style={{ height: virtual.getTotalSize() }}>
          {inSight.map((item) => {
            const line = lines[item.index];
            if (!line) return null;
            const place = { index: item.index, start: item.start - ROW, at: item.index === at };
            return line.kind === "group" ? (
              <GroupLine
                key={rowId(line)}
                group={line.group}
                open={line.open}
                {...place}
                drawn={drawn}
                by={groupedBy ?? ""}
                picked={chosen.size > 0 && line.group.runs.every((run) => chosen.has(run.id))}
                acts={acts}
              />
            ) : (
              <RunLine
                key={rowId(line)}
                run={line.run}
                project={project}
                {...place}
                drawn={drawn}
                token={chosen.get(line.run.id)}
                made={produced.get(line.run.id)}
                acts={acts}
              />
            );
          })}
        </div>
      </div>
    </div>
  );
}

interface Drawn {
  column: RunColumn;
  width: number;
  range: Range | undefined;
}

interface Acts {
  current: { pick: (id: string, shift: boolean) => void; toggle: (ids: string[]) => void; fold: (key: string) => void };
}

interface Place {
  index: number;
  start: number;
  at: boolean;
  drawn: Drawn[];
  acts: Acts;
}

function Head({ drawn, order, onOrder }: { drawn: Drawn[]; order: string; onOrder: (order: string | undefined) => void }) {
  return (
    <div role="row" className="head" tabIndex={-1}>
      <span role="columnheader" className="pick" tabIndex={-1}>
        <span className="visually-hidden">Selected</span>
      </span>
      <span role="columnheader" className="name" tabIndex={-1}>
        Run
      </span>
      {drawn.map(({ column: { id, title, numeric }, width }) => {
        const sorted = order === id ? "ascending" : order === `-${id}` ? "descending" : "none";
        return (
          <span
            key={id}
            role="columnheader"
            tabIndex={-1}
            aria-sort={sorted}
            className={numeric ? "number" : ""}
            style={{ width, fontFamily: "var(--sans)" }}
            title={id}
          >
            <button type="button" data-sorted={sorted !== "none"} onClick={() => onOrder(nextOrder(order, id))}>
              {title}
              {sorted !== "none" && <span aria-hidden="true">{sorted === "descending" ? " ↓" : " ↑"}</span>}
            </button>
          </span>
        );
      })}
    </div>
  );
}

const addressOfRun = (project: string, runId: string) => `/projects/${encodeURIComponent(project)}/runs/${encodeURIComponent(runId)}`;

interface RunLineProps extends Place {
  run: RunRow;
  project: string;
  token: string | undefined;
  made: { name: string; number: number } | undefined;
}

/** One run. Its links are plain ones that the table's own click handler follows: the router's cost more than the rest of the row. */
const RunLine = memo(function RunLine({ run, project, index, start, at, drawn, token, made, acts }: RunLineProps) {
  return (
    <div
      role="row"
      id={`row-${run.id}`}
      tabIndex={-1}
      aria-rowindex={index + 1}
      aria-selected={!!token}
      data-at={at}
      style={{ transform: `translateY(${start}px)` }}
    >
      <span role="gridcell" className="pick" tabIndex={-1}>
        <input
          type="checkbox"
          aria-label={`select ${run.name}`}
          checked={!!token}
          tabIndex={-1}
          onChange={(event) => acts.current.pick(run.id, (event.nativeEvent as PointerEvent).shiftKey)}
        />
      </span>
      <span role="gridcell" className="name" tabIndex={-1} title={run.title ?? undefined}>
        <span className="swatch" style={token ? { background: `var(--${token})`, borderColor: "transparent" } : undefined} />
        <span className="clip">
          <a href={addressOfRun(project, run.id)} tabIndex={-1}>
            {run.name}
          </a>{" "}
          {made ? (
            <a className="mono" tabIndex={-1} href={`/projects/${encodeURIComponent(project)}/assets/${made.name}/${made.number}`}>
              {made.name}@{made.number}
            </a>
          ) : (
            <span className="third">{run.title}</span>
          )}
        </span>
      </span>
      {drawn.map(({ column, width, range }) => (
        <span role="gridcell" key={column.id} tabIndex={-1} className={column.numeric ? "number" : ""} style={{ width }}>
          <Cell run={run} column={column} range={range} />
        </span>
      ))}
    </div>
  );
});

interface GroupLineProps extends Place {
  group: RunGroup;
  open: boolean;
  by: string;
  picked: boolean;
}

const GroupLine = memo(function GroupLine({ group, open, index, start, at, drawn, by, picked, acts }: GroupLineProps) {
  const name = group.value === null ? (NONE[by] ?? "not given") : group.key;
  return (
    <div
      role="row"
      id={`group-${group.key}`}
      className="group"
      tabIndex={-1}
      aria-rowindex={index + 1}
      aria-expanded={open}
      data-at={at}
      style={{ transform: `translateY(${start}px)` }}
    >
      <span role="gridcell" className="pick" tabIndex={-1}>
        <input
          type="checkbox"
          aria-label={`select the ${count(group.runs.length, "run")} of ${name}`}
          checked={picked}
          tabIndex={-1}
          onChange={() => acts.current.toggle(group.runs.map((run) => run.id))}
        />
      </span>
      <span role="gridcell" className="name" tabIndex={-1}>
        <button type="button" tabIndex={-1} onClick={() => acts.current.fold(group.key)} aria-label={`${open ? "fold" : "unfold"} ${name}`}>
          <span aria-hidden="true">{open ? "▾" : "▸"}</span>
        </button>
        <span className="clip">
          <GroupName by={by} group={group} /> <span className="third">{group.runs.length.toLocaleString("en-US")}</span>
        </span>
      </span>
      {drawn.map(({ column, width }) => (
        <span role="gridcell" key={column.id} tabIndex={-1} className={column.numeric ? "number" : ""} style={{ width }}>
          {summary(column, group.runs)}
        </span>
      ))}
    </div>
  );
});

const NONE: Record<string, string> = { parent: "in no study", experiment: "in no experiment" };

function GroupName({ by, group }: { by: string; group: RunGroup }) {
  if (group.value === null) return <span className="second">{NONE[by] ?? "not given"}</span>;
  if (by === "parent")
    return (
      <>
        study <RunLink runId={String(group.value)} />
      </>
    );
  return (
    <b className={by.includes(".") ? "mono" : undefined}>{written({ id: by, title: by, family: "params", numeric: false }, group.value)}</b>
  );
}

const MEASURED = new Set<string>(["metrics", "minimum", "maximum"]);

type Range = [low: number, high: number];

function rangeOf(runs: RunRow[], column: string): Range | undefined {
  let range: Range | undefined;
  for (const run of runs) {
    const value = cellOf(run, column);
    if (typeof value === "number") range = range ? [Math.min(range[0], value), Math.max(range[1], value)] : [value, value];
  }
  return range;
}

function Cell({ run, column, range }: { run: RunRow; column: RunColumn; range: Range | undefined }) {
  const value = cellOf(run, column.id);
  if (column.id === "status") return <RunStatus status={run.status} />;
  const text = written(column, value);
  if (!range || typeof value !== "number" || range[0] === range[1])
    return (
      <span className={column.family === "params" ? "mono" : undefined} title={text.length > 14 ? text : undefined}>
        {text}
      </span>
    );
  const share = 0.25 + (0.75 * (value - range[0])) / (range[1] - range[0]);
  return (
    <span className="bar" style={{ "--share": `${share * 100}%` } as CSSProperties}>
      <span>{text}</span>
    </span>
  );
}
