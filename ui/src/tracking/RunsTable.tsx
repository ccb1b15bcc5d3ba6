import { useNavigate } from "@tanstack/react-router";
import { createColumnHelper, tableFeatures, useTable } from "@tanstack/react-table";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type CSSProperties, type KeyboardEvent, useEffect, useMemo, useRef, useState } from "react";
import { RunLink, VersionLink } from "../catalog/links";
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
const features = tableFeatures({});
const helper = createColumnHelper<typeof features, RunRow>();

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
  const navigate = useNavigate();
  const produced = useProduced();
  const scroll = useRef<HTMLDivElement>(null);
  const [at, setAt] = useState(-1);
  const anchor = useRef<string | null>(null);
  const chosen = useMemo(() => new Map(selected.map((id, index) => [id, seriesToken(index)])), [selected]);
  const ranges = useMemo(
    () => new Map(columns.filter((column) => MEASURED.has(column.family)).map((column) => [column.id, rangeOf(runs, column.id)])),
    [columns, runs],
  );
  const definitions = useMemo(
    () =>
      helper.columns(
        columns.map((column) =>
          helper.display({
            id: column.id,
            header: () => column.title,
            cell: ({ row }) => <Cell run={row.original} column={column} range={ranges.get(column.id)} />,
          }),
        ),
      ),
    [columns, ranges],
  );
  const table = useTable({ features, columns: definitions, data: runs, getRowId: (run) => run.id });
  const rows = table.getRowModel().rowsById;
  const lines = useMemo(() => linesOf(runs, groups, new Set(folded)), [runs, groups, folded]);
  const virtual = useVirtualizer({ count: lines.length, getScrollElement: () => scroll.current, estimateSize: () => ROW, overscan: 12 });
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
    else if (event.key === "Enter" && inside && line.kind === "run")
      void navigate({ to: "/projects/$project/runs/$runId", params: { project, runId: line.run.id } });
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
  const widths = new Map(columns.map((column) => [column.id, widthOf(column, !!groups)]));
  const numeric = new Map(columns.map((column) => [column.id, column.numeric]));
  const here = lines[at];
  return (
    <div
      className="runs-scroll"
      ref={scroll}
      tabIndex={0}
      onKeyDown={pressed}
      onFocus={(event) => event.target === event.currentTarget && at < 0 && setAt(0)}
      role="grid"
      aria-label="Runs"
      aria-rowcount={lines.length}
      aria-multiselectable="true"
      aria-activedescendant={here ? rowId(here) : undefined}
    >
      <div className="runs">
        <div role="rowgroup">
          {table.getHeaderGroups().map((group) => (
            <div role="row" className="head" key={group.id} tabIndex={-1}>
              <span role="columnheader" className="pick" tabIndex={-1}>
                <span className="visually-hidden">Selected</span>
              </span>
              <span role="columnheader" className="name" tabIndex={-1}>
                Run
              </span>
              {group.headers.map((header) => {
                const { id } = header.column;
                const sorted = order === id ? "ascending" : order === `-${id}` ? "descending" : "none";
                return (
                  <span
                    key={header.id}
                    role="columnheader"
                    tabIndex={-1}
                    aria-sort={sorted}
                    className={numeric.get(id) ? "number" : ""}
                    style={{ width: widths.get(id), fontFamily: "var(--sans)" }}
                    title={id}
                  >
                    <button type="button" data-sorted={sorted !== "none"} onClick={() => onOrder(nextOrder(order, id))}>
                      <table.FlexRender header={header} />
                      {sorted !== "none" && <span aria-hidden="true">{sorted === "descending" ? " ↓" : " ↑"}</span>}
                    </button>
                  </span>
                );
              })}
            </div>
          ))}
        </div>
        <div role="rowgroup" className="body" style={{ height: virtual.getTotalSize() }}>
          {inSight.map((item) => {
            const line = lines[item.index];
            if (!line) return null;
            const place = { index: item.index, start: item.start, at: item.index === at };
            if (line.kind === "group")
              return (
                <GroupLine
                  key={rowId(line)}
                  line={line}
                  place={place}
                  columns={columns}
                  widths={widths}
                  by={groupedBy ?? ""}
                  picked={line.group.runs.every((run) => chosen.has(run.id))}
                  pick={() => toggle(line.group.runs.map((run) => run.id))}
                  fold={() => fold(line.group.key)}
                />
              );
            const { run } = line;
            const token = chosen.get(run.id);
            const made = produced.get(run.id);
            return (
              <div
                role="row"
                key={rowId(line)}
                id={rowId(line)}
                tabIndex={-1}
                aria-rowindex={item.index + 1}
                aria-selected={!!token}
                data-at={place.at}
                style={{ transform: `translateY(${item.start}px)` }}
              >
                <span role="gridcell" className="pick" tabIndex={-1}>
                  <input
                    type="checkbox"
                    aria-label={`select ${run.name}`}
                    checked={!!token}
                    tabIndex={-1}
                    onChange={(event) => pick(run.id, (event.nativeEvent as MouseEvent).shiftKey)}
                  />
                </span>
                <span role="gridcell" className="name" tabIndex={-1} title={run.title ?? undefined}>
                  <span className="swatch" style={token ? { background: `var(--${token})`, borderColor: "transparent" } : undefined} />
                  <span className="clip">
                    <RunLink runId={run.id}>{run.name}</RunLink>{" "}
                    {made ? <VersionLink name={made.name} number={made.number} /> : <span className="third">{run.title}</span>}
                  </span>
                </span>
                {rows[run.id]?.getAllCells().map((cell) => (
                  <span
                    role="gridcell"
                    key={cell.id}
                    tabIndex={-1}
                    className={numeric.get(cell.column.id) ? "number" : ""}
                    style={{ width: widths.get(cell.column.id) }}
                  >
                    <table.FlexRender cell={cell} />
                  </span>
                ))}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

interface GroupLineProps {
  line: Extract<Line, { kind: "group" }>;
  place: { index: number; start: number; at: boolean };
  columns: RunColumn[];
  widths: Map<string, number>;
  by: string;
  picked: boolean;
  pick: () => void;
  fold: () => void;
}

function GroupLine({ line: { group, open }, place, columns, widths, by, picked, pick, fold }: GroupLineProps) {
  return (
    <div
      role="row"
      id={`group-${group.key}`}
      className="group"
      tabIndex={-1}
      aria-rowindex={place.index + 1}
      aria-expanded={open}
      data-at={place.at}
      style={{ transform: `translateY(${place.start}px)` }}
    >
      <span role="gridcell" className="pick" tabIndex={-1}>
        <input
          type="checkbox"
          aria-label={`select the ${count(group.runs.length, "run")} of ${group.key}`}
          checked={picked}
          tabIndex={-1}
          onChange={pick}
        />
      </span>
      <span role="gridcell" className="name" tabIndex={-1}>
        <button type="button" tabIndex={-1} onClick={fold} aria-label={`${open ? "fold" : "unfold"} ${group.key}`}>
          <span aria-hidden="true">{open ? "▾" : "▸"}</span>
        </button>
        <span className="clip">
          <GroupName by={by} group={group} /> <span className="third">{group.runs.length.toLocaleString("en-US")}</span>
        </span>
      </span>
      {columns.map((column) => (
        <span
          role="gridcell"
          key={column.id}
          tabIndex={-1}
          className={column.numeric ? "number" : ""}
          style={{ width: widths.get(column.id) }}
        >
          {column.family === "run" && column.id !== "duration" && column.id !== "status" && !open ? "" : summary(column, group.runs)}
        </span>
      ))}
    </div>
  );
}

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
