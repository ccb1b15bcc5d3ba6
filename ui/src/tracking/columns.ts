import type { Schemas } from "../api/client";
import { duration, figure, moment, plain } from "../design/format";

export type RunRow = Schemas["RunRow"];

export type Family = "run" | "metrics" | "minimum" | "maximum" | "params" | "tags";

/** A column of the runs table by its name in the filter language: `metrics.auc`, `minimum.loss`, `params.lr`, `status`. */
export interface RunColumn {
  id: string;
  title: string;
  family: Family;
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

const FAMILIES = ["metrics", "minimum", "maximum", "params", "tags"] as const;
const TITLES: Partial<Record<Family, string>> = { minimum: "lowest ", maximum: "highest " };

export function cellOf(run: RunRow, column: string): unknown {
  const dot = column.indexOf(".");
  const family = column.slice(0, dot);
  const name = column.slice(dot + 1);
  if (family === "metrics" || family === "params" || family === "tags") return (run[family] as Record<string, unknown>)[name];
  // The server names them of metrics with several points only: one value alone is its own lowest and highest.
  if (family === "minimum" || family === "maximum") return run[family]?.[name] ?? run.metrics[name];
  if (column === "duration") return run.duration_seconds;
  if (column === "started") return run.started_at;
  return run[column as "status" | "experiment" | "title" | "actor" | "parent"];
}

/** Every column that some run has, metrics first. */
export function columnsOf(runs: RunRow[]): RunColumn[] {
  const found = FAMILIES.flatMap((family) => {
    const names = new Set<string>();
    for (const run of runs) for (const name in run[family]) names.add(name);
    return [...names].map((name): RunColumn => {
      const id = `${family}.${name}`;
      return {
        id,
        title: `${TITLES[family] ?? ""}${name}`,
        family,
        numeric: runs.every((run) => ["number", "undefined"].includes(typeof (cellOf(run, id) ?? undefined))),
      };
    });
  });
  const [status, ...rest] = OWN;
  return [status as RunColumn, ...found, ...rest];
}

function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  return typeof a === "object" && typeof b === "object" && JSON.stringify(a) === JSON.stringify(b);
}

/** The columns whose values are not the same in all of the runs. A value that is missing somewhere differs. */
export function differing(columns: RunColumn[], runs: RunRow[]): RunColumn[] {
  const [first, ...others] = runs;
  if (!first || !others.length) return columns;
  return columns.filter((column) => {
    const value = cellOf(first, column.id) ?? null;
    return others.some((run) => !same(cellOf(run, column.id) ?? null, value));
  });
}

const SHOWN_METRICS = 4;
const SHOWN_PARAMETERS = 5;
const COMMON = 0.1;

/** What is shown while nothing was chosen: what tells the runs apart, that many of them have, and not more than fits. */
export function defaultColumns(columns: RunColumn[], runs: RunRow[]): string[] {
  const apart = new Set(differing(columns, runs).map((column) => column.id));
  const first = (family: Family, limit: number) => {
    const of = columns
      .filter((column) => column.family === family)
      .map((column) => ({ id: column.id, have: runs.filter((run) => (cellOf(run, column.id) ?? null) !== null).length }))
      .filter(({ have }) => have > runs.length * COMMON);
    const common = of.sort((a, b) => Number(apart.has(b.id)) - Number(apart.has(a.id)) || b.have - a.have);
    return common.slice(0, limit).map((column) => column.id);
  };
  const titled = runs.some((run) => run.title) ? ["title"] : [];
  return [
    "status",
    ...titled,
    ...first("metrics", SHOWN_METRICS),
    ...first("params", SHOWN_PARAMETERS),
    "experiment",
    "started",
    "duration",
  ];
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
