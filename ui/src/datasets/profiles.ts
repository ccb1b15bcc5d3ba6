import type { Schemas } from "../api/client";
import { figure, moment, percent } from "../design/format";

export type ColumnProfile = Schemas["ColumnProfile"];
export type Shift = Schemas["Shift"];

export interface Bar {
  from: number;
  to: number;
  /** Share of the values that are there, by unit of the axis. */
  height: number;
  count: number;
  /** What a category's bar stands for. */
  value?: string;
}

/** How far the open bins at both ends are drawn, as a share of the axis between them. */
const TAIL = 0.12;

/** The axis of a column's bins: the inner edges, and a part of the tails, of another version in the same bins too. */
export function axisOf(column: ColumnProfile, other?: ColumnProfile): [number, number] | null {
  const { edges } = column.bins;
  const [first, last] = [edges[0], edges.at(-1)];
  if (first === undefined || last === undefined) return null;
  const reach = last - first || Math.abs(first) || 1;
  const known = [column.moments, other?.moments].flatMap((moments) => moments ?? []);
  const least = Math.max(Math.min(...known.map((moments) => moments.minimum)), first - reach * TAIL);
  const most = Math.min(Math.max(...known.map((moments) => moments.maximum)), last + reach * TAIL);
  return [Math.min(least, first), Math.max(most, last)];
}

/**
 * Bars of equal width on an axis from 0 to 1, each bin's values spread evenly over its reach. Bins of quantiles are as narrow as a value is
 * frequent: drawn as they are, one such as *no rain* would be a needle beside which nothing else could be seen.
 */
export function barsOf(column: ColumnProfile, [low, high]: [number, number], cells = 52): Bar[] {
  const total = column.counts.reduce((sum, count) => sum + count, 0);
  const reach = high - low || 1;
  const ends = [low, ...column.bins.edges, high].map((end) => Math.min(1, Math.max(0, (end - low) / reach)) * cells);
  const counts = new Array<number>(cells).fill(0);
  column.counts.forEach((count, at) => {
    const [from, to] = [ends[at] ?? 0, ends[at + 1] ?? cells];
    const [first, last] = [Math.min(Math.floor(from), cells - 1), Math.min(Math.floor(to), cells - 1)];
    for (let cell = first; cell <= last; cell++) {
      const inside = to > from ? (Math.min(to, cell + 1) - Math.max(from, cell)) / (to - from) : 1;
      counts[cell] = (counts[cell] ?? 0) + count * Math.max(0, inside);
    }
  });
  return counts.map((count, cell) => ({
    from: cell / cells,
    to: (cell + 1) / cells,
    count: Math.round(count),
    height: total ? (count / total) * cells : 0,
  }));
}

/** The values of a category side by side, numbers in their order, others as the reference ranks them; those without a bin come last. */
export function barsOfValues(column: ColumnProfile, before?: ColumnProfile): { bars: Bar[]; earlier: Bar[]; names: string[] } {
  const places = column.bins.values.map((_, at) => at);
  const numbers = column.bins.values.map(Number);
  if (!numbers.some(Number.isNaN)) places.sort((a, b) => (numbers[a] ?? 0) - (numbers[b] ?? 0));
  const rest = column.rest.total + (before?.rest.total ?? 0) > 0;
  const names = [...places.map((at) => column.bins.values[at] ?? ""), ...(rest ? ["others"] : [])];
  const drawn = (of: ColumnProfile): Bar[] => {
    const counts = [...places.map((at) => of.counts[at] ?? 0), ...(rest ? [of.rest.total] : [])];
    const width = 1 / counts.length;
    const total = countOf(of);
    return counts.map((count, at) => ({
      from: at * width,
      to: (at + 1) * width,
      height: count / total / width,
      count,
      value: names[at] ?? "",
    }));
  };
  return { bars: drawn(column), earlier: before ? drawn(before) : [], names };
}

export interface Category {
  value: string;
  share: number;
  /** Its share before, where two versions are compared. */
  before?: number | undefined;
  /** It may be more by this share: heavy values without a bin are counted to within an error. */
  error: number;
}

/** The heaviest values of a category, those in the rest with how wrong their counts may be, and the share of all others. */
export function categoriesOf(column: ColumnProfile, before?: ColumnProfile, most = 6): { shown: Category[]; others: number } {
  const there = countOf(column);
  const earlier = before && sharesOf(before);
  const all: Category[] = [
    ...column.bins.values.map((value, at) => ({ value, share: (column.counts[at] ?? 0) / there, error: 0, before: earlier?.get(value) })),
    ...column.rest.heaviest.map(([value, count]) => ({
      value: String(value),
      share: Number(count) / there,
      error: column.rest.error / there,
      before: earlier && (earlier.get(String(value)) ?? 0),
    })),
  ]
    .filter((one) => one.share > 0 || (one.before ?? 0) > 0)
    .sort((a, b) => Math.max(b.share, b.before ?? 0) - Math.max(a.share, a.before ?? 0));
  const shown = all.slice(0, most);
  return { shown, others: Math.max(0, 1 - shown.reduce((sum, one) => sum + one.share, 0)) };
}

function countOf(column: ColumnProfile): number {
  return Math.max(1, column.counts.reduce((sum, count) => sum + count, 0) + column.rest.total);
}

function sharesOf(column: ColumnProfile): Map<string, number> {
  const there = countOf(column);
  return new Map([
    ...column.bins.values.map((value, at): [string, number] => [value, (column.counts[at] ?? 0) / there]),
    ...column.rest.heaviest.map(([value, count]): [string, number] => [String(value), Number(count) / there]),
  ]);
}

export function missingShare(column: ColumnProfile): number {
  return column.rows ? (column.nulls + column.nans) / column.rows : 0;
}

/** A value of a column's axis as it is read: times are microseconds since 1970. */
export function valueSaid(column: ColumnProfile, value: number): string {
  // The edge at a value is the float beside it: beside zero that is a number with 38 zeros.
  return column.bins.kind === "time" ? moment(new Date(value / 1000).toISOString()) : figure(Math.abs(value) < 1e-30 ? 0 : value);
}

export function missingSaid(column: ColumnProfile, before?: ColumnProfile): string {
  const now = missingShare(column);
  if (!before) return now ? percent(now) : "–";
  const then = missingShare(before);
  return then === now ? (now ? percent(now) : "–") : `${percent(then)} → ${percent(now)}`;
}

/** In a few words, and only what can be seen: less than half a per cent, then and now, is nothing to tell here. */
export function missingTold(column: ColumnProfile, before?: ColumnProfile): string | null {
  const [now, then] = [column, before].map((one) => Math.round((one ? missingShare(one) : 0) * 100));
  if (!now && !then) return null;
  return before && then !== now ? `${then} → ${now} %` : `${now} %`;
}
