import { describe, expect, it } from "vitest";
import type { Schemas } from "../api/client";
import { paceOf, sideOf } from "./split";

function answer(minute: number, number: number, change: Record<string, unknown> = {}): Schemas["Answer"] {
  return {
    at: new Date(Date.UTC(2013, 5, 1, 0, minute)).toISOString(),
    event_time: null,
    number,
    latency_us: 1000 + minute,
    probability: 0.5,
    error: null,
    other: { number: number === 2 ? 4 : 2, latency_us: 2000, probability: 0.7, error: null },
    ...change,
  } as unknown as Schemas["Answer"];
}

describe("the split of answers", () => {
  const answers = [answer(1, 2), answer(2, 2, { other: { number: 4, latency_us: 1, probability: null, error: "NaN" } }), answer(3, 4)];
  it("counts what each version answered, what it scored, and where it failed", () => {
    expect(sideOf(answers, 2)).toMatchObject({ answered: 2, scored: 3, errors: 0, mean: (0.5 + 0.5 + 0.7) / 3 });
    expect(sideOf(answers, 4)).toMatchObject({ answered: 1, scored: 2, errors: 1, p95_us: 2000 });
  });
  it("is nothing without answers", () => {
    expect(sideOf([], 4)).toMatchObject({ answered: 0, scored: 0, p95_us: null, mean: null });
  });
  it("paces both, oldest first", () => {
    const pace = paceOf(
      Array.from({ length: 20 }, (_, minute) => answer(20 - minute, 2)),
      2,
      4,
    );
    expect(pace.at).toHaveLength(4);
    expect(pace.at[0]).toBeLessThan(pace.at[3] as number);
    expect(pace.candidate).toEqual([2000, 2000, 2000, 2000]);
  });
});
