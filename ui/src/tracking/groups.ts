import { cellOf, type RunColumn, type RunRow, written } from "./columns";

export interface RunGroup {
  /** Stands in the address when the group is folded. */
  key: string;
  /** `null` where the runs have no value. */
  value: unknown;
  runs: RunRow[];
}

export type Line = { kind: "group"; group: RunGroup; open: boolean } | { kind: "run"; run: RunRow };

/** What runs can be grouped by: the study that they are trials of, or any column that is no measurement. */
export function groupings(columns: RunColumn[]): { id: string; title: string }[] {
  const own = [
    { id: "parent", title: "Study" },
    { id: "experiment", title: "Experiment" },
    { id: "status", title: "Status" },
    { id: "actor", title: "Who" },
  ];
  const named = columns.filter((column) => column.family === "params" || column.family === "tags");
  return [...own, ...named.map(({ id, title }) => ({ id, title }))];
}

/** Runs that share a value, groups in the order in which their first run comes, those without a value last. */
export function grouped(runs: RunRow[], by: string): RunGroup[] {
  const groups = new Map<string, RunGroup>();
  for (const run of runs) {
    const value = cellOf(run, by) ?? null;
    const key = typeof value === "string" ? value : JSON.stringify(value);
    const group = groups.get(key);
    if (group) group.runs.push(run);
    else groups.set(key, { key, value, runs: [run] });
  }
  const found = [...groups.values()];
  return [...found.filter((group) => group.value !== null), ...found.filter((group) => group.value === null)];
}

/** The lines of the table: a heading for each group, and its runs where it is open. */
export function linesOf(runs: RunRow[], groups: RunGroup[] | null, folded: ReadonlySet<string>): Line[] {
  if (!groups) return runs.map((run): Line => ({ kind: "run", run }));
  return groups.flatMap((group): Line[] => {
    const open = !folded.has(group.key);
    return [{ kind: "group", group, open }, ...(open ? group.runs.map((run): Line => ({ kind: "run", run })) : [])];
  });
}

/** A column of a whole group in a few letters: the range of numbers, the value that all share, or how many there are. */
export function summary(column: RunColumn, runs: RunRow[]): string {
  const values = runs.map((run) => cellOf(run, column.id)).filter((value) => value !== null && value !== undefined);
  if (!values.length) return "–";
  if (column.numeric) {
    const numbers = values as number[];
    let [low, high] = [numbers[0] as number, numbers[0] as number];
    for (const value of numbers) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    return low === high ? written(column, low) : `${written(column, low)} … ${written(column, high)}`;
  }
  const distinct = new Set(values.map((value) => written(column, value)));
  return distinct.size === 1 ? ([...distinct][0] as string) : column.id === "started" ? "" : `${distinct.size} values`;
}
