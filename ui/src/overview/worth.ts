import type { Schemas } from "../api/client";
import type { Look, PerformanceFigures } from "../monitoring/looks";

/** A day that has matured, by the second at which it begins; without AUC where no label or one class only was seen. */
export interface Day {
  at: number;
  auc: number | null;
}

const WINDOW = 7;
/** A mean of fewer days jumps with each of them. */
const ENOUGH = 4;
const DAY_SECONDS = 86_400;

/** Each day from the first to the last that a monitor's looks or the report know of; of a day in both, the look's figure is taken. */
export function daysOf(looks: readonly Look[], report: Schemas["PerformanceReport"] | null | undefined): Day[] {
  const measured = report?.figures.unit === "days" ? report.figures.by_block.filter((block) => block.matured && block.labelled > 0) : [];
  const looked = looks.flatMap((look) => (look.figures as unknown as PerformanceFigures).by_day ?? []);
  const known = [...measured, ...looked].map(({ starts, auc }) => ({ at: Date.parse(starts) / 1000, auc }));
  if (!known.length) return [];
  const first = Math.min(...known.map((day) => day.at));
  const days: Day[] = [];
  // Rounded, since clocks are moved: a local day may begin an hour sooner or later than the one before did.
  for (const day of known) days[Math.round((day.at - first) / DAY_SECONDS)] = day;
  return Array.from(days, (day, number) => day ?? { at: first + number * DAY_SECONDS, auc: null });
}

/** The mean of each day's AUC with those of the six days before it: what a curve over months can show of days. */
export function weekly(days: readonly Day[]): (number | null)[] {
  return days.map((_, number) => {
    const known = days.slice(Math.max(0, number - WINDOW + 1), number + 1).flatMap((day) => day.auc ?? []);
    return known.length >= ENOUGH ? known.reduce((sum, one) => sum + one, 0) / known.length : null;
  });
}
