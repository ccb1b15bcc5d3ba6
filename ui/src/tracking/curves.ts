import type { Schemas } from "../api/client";
import type { Series } from "../design/Chart";

export type Curve = Schemas["Series"];

export interface RunCurves {
  label: string;
  token: string;
  curves: readonly Curve[];
}

export type Axis = "step" | "time";

/** The metrics that have a curve in some run: more than one point. */
export function curveNames(runs: RunCurves[]): string[] {
  const names = new Set(runs.flatMap((run) => run.curves.filter((curve) => curve.count > 1).map((curve) => curve.name)));
  return [...names].sort((a, b) => Number(a.startsWith("system/")) - Number(b.startsWith("system/")) || a.localeCompare(b));
}

/** Exponential smoothing as TensorBoard does it, corrected for its start; what is missing stays missing. */
export function smooth(values: (number | null)[], weight: number): (number | null)[] {
  if (!weight) return values;
  let [held, seen] = [0, 0];
  return values.map((value) => {
    if (value === null) return null;
    held = held * weight + value * (1 - weight);
    seen += 1;
    return held / (1 - weight ** seen);
  });
}

/** One metric of several runs over one x axis; time counts seconds from each run's first point. */
export function aligned(runs: RunCurves[], name: string, axis: Axis, smoothing: number): { x: number[]; series: Series[] } {
  const found = runs.flatMap((run) => {
    const curve = run.curves.find((one) => one.name === name);
    return curve?.count ? [{ run, curve, at: places(curve, axis) }] : [];
  });
  const x = [...new Set(found.flatMap((one) => one.at))].sort((a, b) => a - b);
  const index = new Map(x.map((place, position) => [place, position]));
  const spread = (at: number[], values: readonly (number | null)[]) => {
    const line: (number | null)[] = new Array(x.length).fill(null);
    at.forEach((place, position) => {
      line[index.get(place) as number] = values[position] ?? null;
    });
    return line;
  };
  const series = found.map(({ run, curve, at }): Series => {
    const values = spread(at, smooth([...curve.last], smoothing));
    const sampled = curve.count > curve.steps.length;
    return {
      label: run.label,
      token: run.token,
      values,
      ...(sampled ? { band: { low: spread(at, curve.minimum), high: spread(at, curve.maximum) } } : {}),
    };
  });
  return { x, series };
}

function places(curve: Curve, axis: Axis): number[] {
  if (axis === "step") return [...curve.steps];
  const start = curve.times[0] ?? 0;
  return curve.times.map((time) => (time - start) / 1e6);
}
