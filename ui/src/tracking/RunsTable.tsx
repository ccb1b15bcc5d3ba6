import { useNavigate } from "@tanstack/react-router";
import { createColumnHelper, tableFeatures, useTable } from "@tanstack/react-table";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type CSSProperties, type KeyboardEvent, useEffect, useMemo, useRef, useState } from "react";
import { RunLink } from "../catalog/links";
import { RunStatus } from "../design/Pill";
import { seriesToken } from "../design/theme";
import { useProject } from "../shell/root";
import { cellOf, nextOrder, type RunColumn, type RunRow, written } from "./columns";

interface RunsTableProps {
  runs: RunRow[];
  columns: RunColumn[];
  order: string;
  selected: string[];
  onOrder: (order: string | undefined) => void;
  onSelect: (ids: string[]) => void;
  onEnd: () => void;
}

const ROW = 30;
const features = tableFeatures({});
const helper = createColumnHelper<typeof features, RunRow>();

function widthOf(column: RunColumn): number {
  if (column.id === "status") return 92;
  if (column.id === "started") return 120;
  if (column.id === "duration") return 76;
  return column.numeric ? Math.min(Math.max(104, column.title.length * 7.4 + 34), 190) : 130;
}

/** Thousands of runs: only the rows in sight are in the page. `j` and `k` move, `x` selects, Enter opens. */
export function RunsTable({ runs, columns, order, selected, onOrder, onSelect, onEnd }: RunsTableProps) {
  const project = useProject();
  const navigate = useNavigate();
  const scroll = useRef<HTMLDivElement>(null);
  const [at, setAt] = useState(-1);
  const chosen = useMemo(() => new Map(selected.map((id, index) => [id, seriesToken(index)])), [selected]);
  const ranges = useMemo(
    () => new Map(columns.filter((column) => column.family === "metrics").map((column) => [column.id, rangeOf(runs, column.id)])),
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
  const rows = table.getRowModel().rows;
  const virtual = useVirtualizer({ count: rows.length, getScrollElement: () => scroll.current, estimateSize: () => ROW, overscan: 12 });
  const inSight = virtual.getVirtualItems();
  const last = inSight.at(-1)?.index ?? 0;
  useEffect(() => {
    if (last >= rows.length - 40) onEnd();
  }, [last, rows.length, onEnd]);

  const toggle = (id: string) => onSelect(chosen.has(id) ? selected.filter((one) => one !== id) : [...selected, id]);
  const moved = (event: KeyboardEvent) => {
    const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    const run = runs[at];
    if (step) {
      event.preventDefault();
      const next = Math.min(Math.max(at + step, 0), runs.length - 1);
      setAt(next);
      virtual.scrollToIndex(next);
    } else if ((event.key === "x" || event.key === " ") && run) {
      event.preventDefault();
      toggle(run.id);
    } else if (event.key === "Enter" && run && event.target === event.currentTarget) {
      void navigate({ to: "/projects/$project/runs/$runId", params: { project, runId: run.id } });
    }
  };
  const widths = new Map(columns.map((column) => [column.id, widthOf(column)]));
  const numeric = new Map(columns.map((column) => [column.id, column.numeric]));
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a grid of rows is moved through with the keyboard
    <div className="runs-scroll" ref={scroll} tabIndex={0} onKeyDown={moved} role="table" aria-label="Runs" aria-rowcount={rows.length}>
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
            const row = rows[item.index];
            if (!row) return null;
            const run = row.original;
            const token = chosen.get(run.id);
            return (
              <div
                role="row"
                key={row.id}
                tabIndex={-1}
                aria-rowindex={item.index + 1}
                aria-selected={!!token}
                data-at={item.index === at}
                style={{ transform: `translateY(${item.start}px)` }}
              >
                <span role="cell" className="pick">
                  <input
                    type="checkbox"
                    aria-label={`select ${run.name}`}
                    checked={!!token}
                    tabIndex={-1}
                    onChange={() => toggle(run.id)}
                  />
                </span>
                <span role="cell" className="name">
                  <span className="swatch" style={token ? { background: `var(--${token})`, borderColor: "transparent" } : undefined} />
                  <span className="clip">
                    <RunLink runId={run.id}>{run.name}</RunLink>
                  </span>
                </span>
                {row.getAllCells().map((cell) => (
                  <span
                    role="cell"
                    key={cell.id}
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

type Range = [low: number, high: number];

function rangeOf(runs: RunRow[], column: string): Range | undefined {
  const values = runs.map((run) => cellOf(run, column)).filter((value): value is number => typeof value === "number");
  return values.length > 1 ? [Math.min(...values), Math.max(...values)] : undefined;
}

function Cell({ run, column, range }: { run: RunRow; column: RunColumn; range: Range | undefined }) {
  const value = cellOf(run, column.id);
  if (column.id === "status") return <RunStatus status={run.status} />;
  const text = written(column, value);
  if (!range || typeof value !== "number" || range[0] === range[1])
    return <span className={column.family === "params" ? "mono" : undefined}>{text}</span>;
  const share = 0.25 + (0.75 * (value - range[0])) / (range[1] - range[0]);
  return (
    <span className="bar" style={{ "--share": `${share * 100}%` } as CSSProperties}>
      <span>{text}</span>
    </span>
  );
}
