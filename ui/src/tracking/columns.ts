import type { Schemas } from "../api/client";
import { duration, figure, moment, plain } from "../design/format";

export type RunRow = Schemas["RunRow"];

/** A column of the runs table by its name in the filter language: `metrics.auc`, `params.lr`, `status`. */
export interface RunColumn {
  id: string;
  title: string;
  family: "run" | "metrics" | "params" | "tags";
  numeric: boolean;
}

const OWN: RunColumn[] = [
  { id: "status", title: "Status", family: "run", numeric: false },
  { id: "experiment", title: "Experiment", family: "run", numeric: false },
  { id: "title", title: "Title", family: "run", numeric: false },
  { id: "actor", title: "Who", family: "run", numeric: false },
  { id: "started", title: "Started", family: "run", numeric: false },
  { id: "duration", title: "Took", family: "run", numeric: true },
];

const FAMILIES = ["metrics", "params", "tags"] as const;

export function cellOf(run: RunRow, column: string): unknown {
  const dot = column.indexOf(".");
  const family = column.slice(0, dot);
  const name = column.slice(dot + 1);
  if (family === "metrics" || family === "params" || family === "tags") return (run[family] as Record<string, unknown>)[name];
  if (column === "duration") return run.duration_seconds;
  if (column === "started") return run.started_at;
  return run[column as "status" | "experiment" | "title" | "actor"];
}

/** Every column that some run has, metrics first. */
export function columnsOf(runs: RunRow[]): RunColumn[] {
  const found = FAMILIES.flatMap((family) => {
    const names = new Set(runs.flatMap((run) => Object.keys(run[family])));
    return [...names].map((name): RunColumn => {
      const id = `${family}.${name}`;
      return {
        id,
        title: name,
        family,
        numeric: runs.every((run) => ["number", "undefined"].includes(typeof (cellOf(run, id) ?? undefined))),
      };
    });
  });
  const [status, ...rest] = OWN;
  return [status as RunColumn, ...found, ...rest];
}

/** The columns whose values are not the same in all of the runs. A value that is missing somewhere differs. */
export function differing(columns: RunColumn[], runs: RunRow[]): RunColumn[] {
  if (runs.length < 2) return columns;
  return columns.filter((column) => new Set(runs.map((run) => JSON.stringify(cellOf(run, column.id) ?? null))).size > 1);
}

const SHOWN_METRICS = 4;
const SHOWN_PARAMETERS = 5;

/** What is shown while nothing was chosen: what tells the runs apart best, and not more than fits. */
export function defaultColumns(columns: RunColumn[], runs: RunRow[]): string[] {
  const apart = new Set(differing(columns, runs).map((column) => column.id));
  const first = (family: RunColumn["family"], limit: number) => {
    const of = columns.filter((column) => column.family === family);
    return [...of.filter((column) => apart.has(column.id)), ...of.filter((column) => !apart.has(column.id))]
      .slice(0, limit)
      .map((column) => column.id);
  };
  return ["status", ...first("metrics", SHOWN_METRICS), ...first("params", SHOWN_PARAMETERS), "experiment", "started", "duration"];
}

export function written(column: RunColumn, value: unknown): string {
  if (value === null || value === undefined) return "–";
  if (column.id === "duration") return duration(value as number);
  if (column.id === "started") return moment(value as string);
  return typeof value === "number" ? figure(value) : plain(value);
}

/** A click on a column's title: largest first, then smallest first, then the newest runs first again. */
export function nextOrder(order: string, column: string): string | undefined {
  if (order === `-${column}`) return column;
  return order === column ? undefined : `-${column}`;
}
