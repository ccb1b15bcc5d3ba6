import { describe, expect, it } from "vitest";
import { beginnings, harmSaid, type Rollout, shareOfStep, stepSaid, stepTitle, wouldEnd } from "./rollouts";

const DAY = 86_400_000;
const START = Date.parse("2013-06-01T08:00:00Z");

function rollout(change: Partial<Rollout> = {}): Rollout {
  return {
    steps: [
      { kind: "shadow", duration: "2d", share: 0 },
      { kind: "canary", duration: "7d", share: 0.1 },
    ],
    step: 1,
    state: "running",
    model: "late",
    number: 4,
    champion: 2,
    harm: null,
    history: [
      { at: "2013-06-01T08:00:00Z", state: "running", step: 0, reason: "schedule", by: "clew" },
      { at: "2013-06-03T08:00:00Z", state: "running", step: 1, reason: "step 2 of 2", by: "clew" },
    ],
    started_at: "2013-06-01T08:00:00Z",
    step_ends_at: "2013-06-10T08:00:00Z",
    paused_at: null,
    ended_at: null,
    ...change,
  } as Rollout;
}

describe("a rollout", () => {
  it("names its steps by kind, share and length", () => {
    expect(rollout().steps.map(stepTitle)).toEqual(["Shadow, 2 days", "Canary 10 %, 7 days"]);
  });
  it("stands in its step where event time stands", () => {
    expect(shareOfStep(rollout(), START + 5.5 * DAY)).toBeCloseTo(0.5);
    expect(shareOfStep(rollout(), START + 99 * DAY)).toBe(1);
  });
  it("stands still while it is paused", () => {
    expect(shareOfStep(rollout({ paused_at: "2013-06-04T08:00:00Z", state: "paused" }), START + 9 * DAY)).toBeCloseTo(1 / 7);
  });
  it("began its steps when its history says, and ends after the rest of them", () => {
    expect(beginnings(rollout({ step: 0, history: rollout().history.slice(0, 1) }))).toEqual([START, undefined]);
    expect(wouldEnd(rollout({ step: 0, step_ends_at: "2013-06-03T08:00:00Z" }))).toBe(START + 9 * DAY);
  });
  it("says what each step has come to", () => {
    const harm = { rows: 151 } as NonNullable<Rollout["harm"]>;
    expect(stepSaid(rollout({ harm }), 1, START + 5.5 * DAY)).toBe("3 days, 151 answers scored by both");
    expect(stepSaid(rollout(), 0, START)).toContain("done");
    expect(stepSaid(rollout({ step: 0 }), 1, START)).toBe("not reached");
  });
});

describe("harm", () => {
  const harm = {
    word: "safe",
    rows: 812,
    blocks: 4,
    unit: "days",
    mean: 0.003,
    low: -0.011,
    high: 0.017,
    tolerance: 0.02,
    capital: 0.66,
    alpha: 0.005,
  };
  it("is told with its interval, unit and count, and what the bet stands at", () => {
    const [where, bet] = harmSaid(harm as never);
    expect(where).toBe(
      "Its log loss is +0.003 nats against the champion's, 95 % −0.011 to +0.017 at every look at once; 4 days, 812 rows.",
    );
    expect(bet).toContain("owns 0.66; at 200 it is rolled back");
    expect(bet).toContain("at most 0.5 % of rollouts");
  });
  it("says that nothing has matured", () => {
    expect(harmSaid({ ...harm, mean: null, low: null, high: null } as never)).toHaveLength(1);
  });
});
