import { count } from "../design/format";
import type { RunRow } from "./columns";

/** The values of one metric in some runs, those that have none left out. */
export function valuesOf(runs: readonly RunRow[], metric: string): { run: RunRow; value: number }[] {
  return runs.flatMap((run) => {
    const value = run.metrics[metric];
    return typeof value === "number" ? [{ run, value }] : [];
  });
}

const ENDINGS: Record<number, string> = { 1: "st", 2: "nd", 3: "rd" };

export function ordinal(place: number): string {
  const ending = Math.floor((place % 100) / 10) === 1 ? undefined : ENDINGS[place % 10];
  return `${place}${ending ?? "th"}`;
}

export type Direction = "maximize" | "minimize" | undefined;

/** Where a value stands among all, in words: best and worst where the study says which way is better, highest and lowest else. */
export function standingOf(value: number, all: number[], direction: Direction): string {
  if (all.length < 2) return "";
  const [most, least] = direction ? ["best", "worst"] : ["highest", "lowest"];
  const upwards = direction !== "minimize";
  const ahead = all.filter((other) => (upwards ? other > value : other < value)).length;
  const behind = all.filter((other) => (upwards ? other < value : other > value)).length;
  if (!ahead && !behind) return `the same in all ${all.length}`;
  if (!ahead) return `the ${most} of ${all.length}`;
  if (!behind) return `the ${least} of ${all.length}`;
  return ahead <= behind ? `${ordinal(ahead + 1)} ${most} of ${all.length}` : `${ordinal(behind + 1)} ${least} of ${all.length}`;
}

export function among(siblings: number, study: boolean): string {
  return study ? `among the ${count(siblings, "run")} of its study` : `among the ${count(siblings, "run")} of its experiment`;
}
