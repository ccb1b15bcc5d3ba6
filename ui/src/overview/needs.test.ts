import { describe, expect, it } from "vitest";
import { headline, needs } from "./needs";

const nothing = { statuses: [], failedRuns: [], verdicts: [], missing: [], datasets: [] };

function serving(change: Record<string, unknown> = {}) {
  return {
    endpoint: { name: "late" },
    processes: [{ alive: true, state: "serving" }],
    flipped: true,
    requests: 9,
    errors: 0,
    refused: 0,
    ...change,
  } as never;
}

describe("what needs a person", () => {
  it("is nothing while all is well", () => {
    expect(needs({ ...nothing, statuses: [serving()] })).toEqual([]);
  });
  it("counts the answers that a view was missing in", () => {
    const missing = [{ view: "origin_weather", times: 2, of: 3 }];
    expect(needs({ ...nothing, missing })[0]?.text).toBe("origin_weather was missing in 2 of the last 3 answers.");
  });
  it("says when a view has nothing for anybody", () => {
    const missing = [{ view: "origin_weather", times: 80, of: 80 }];
    expect(needs({ ...nothing, missing })[0]?.text).toBe("origin_weather had nothing for any of the last 80 answers.");
  });
  it("is a decision while a version serves that no gate let pass", () => {
    const status = serving({
      endpoint: { name: "late", model: "late", number: 1 },
      route: { ungated: true, reason: "out of bounds" },
      reason: "a fix",
    });
    expect(needs({ ...nothing, statuses: [status] })[0]).toMatchObject({ word: "decide", said: "a fix" });
  });
  const verdicts = [{ model: "late", number: 3, gate: "no_worse", passed: false, word: "worse", reason: "AUC −0.021" }] as never[];
  it("is no decision that a gate rejected a version: that is one already", () => {
    const status = serving({ endpoint: { name: "late", model: "late", number: 2 } });
    expect(needs({ ...nothing, statuses: [status], verdicts })).toEqual([]);
  });
  it("is a decision when the version that answers did not pass its gate again", () => {
    const status = serving({ endpoint: { name: "late", model: "late", number: 3 } });
    expect(needs({ ...nothing, statuses: [status], verdicts })[0]).toMatchObject({ word: "decide", said: "AUC −0.021" });
  });
});

describe("what the loop asks of a person", () => {
  const alert = {
    id: 7,
    monitor: "quality",
    kind: "missing",
    subject: "weather",
    state: "open",
    word: "missing",
    summary: "no row for 9 hours",
    opened_at: "2013-12-30T23:00:00Z",
  };
  it("is an answer to each open alert, and none to one that somebody takes care of", () => {
    const open = needs({ ...nothing, alerts: [alert] as never[] });
    expect(open[0]).toMatchObject({ word: "look", tone: "bad", said: "no row for 9 hours", lead: { kind: "alert", subject: "7" } });
    expect(needs({ ...nothing, alerts: [{ ...alert, state: "acknowledged" }] as never[] })).toEqual([]);
  });
  it("is one decision about all that has changed by the same monitor", () => {
    const of = (id: number, subject: string, monitor = "quality") =>
      ({ ...alert, id, subject, monitor, kind: "drift", word: "changed", summary: `${subject}: 8 % of its rows lie elsewhere` }) as never;
    const [alone] = needs({ ...nothing, alerts: [of(1, "hour")] });
    expect(alone).toMatchObject({ word: "decide", said: "8 % of its rows lie elsewhere", lead: { kind: "alert", subject: "1" } });
    const many = needs({ ...nothing, alerts: [..."abcde"].map((name, at) => of(at, name)).concat(of(9, "dest", "schedule")) });
    expect(many).toHaveLength(2);
    expect(many[0]).toMatchObject({ tone: "warn", lead: { kind: "monitor", subject: "quality" } });
    expect(many[0]?.text).toMatch(/^a, b, c and 2 more have changed by .*, says quality\.$/);
  });
  it("tells a missing view once, as its alert", () => {
    const missing = [{ view: "weather", times: 80, of: 80 }];
    expect(needs({ ...nothing, missing, alerts: [alert] as never[] })).toHaveLength(1);
  });
  it("is a decision about a paused trigger, and a look at a build that failed", () => {
    const trigger = { name: "monthly", model: "late", state: "paused", reason: "3 retrainings in a row brought nothing", builds: [] };
    expect(needs({ ...nothing, triggers: [trigger] as never[] })[0]).toMatchObject({ word: "decide", said: trigger.reason });
    const failed = { ...trigger, state: "active", builds: [{ job: { state: "failed" }, outcome: "MemoryError" }] };
    expect(needs({ ...nothing, triggers: [failed] as never[] })[0]).toMatchObject({ word: "look", said: "MemoryError" });
  });
  it("is nothing of a build that failed once a later one of its model brought a version", () => {
    const builds = [{ job: { id: "job_1", state: "failed" }, outcome: "MemoryError" }];
    const trigger = { name: "monthly", model: "late", state: "active", reason: "", builds };
    const run = { id: "run_1", name: "calm-heron", experiment: "late", status: "failed", title: "study of late" };
    const told = (sequence: number, kind: string, subject: string, body = {}) => ({ sequence, kind, subject, body });
    const failed = [told(8, "build.failed", "late", { job: "job_1" }), told(7, "run.ended", "run_1", { status: "failed" })];
    const seen = (events: unknown[]) =>
      needs({ ...nothing, triggers: [trigger] as never[], failedRuns: [run] as never[], events: events as never[] });
    expect(seen(failed)).toHaveLength(2);
    expect(seen([...failed, told(6, "version.added", "late@2")])).toHaveLength(2);
    expect(seen([told(9, "version.added", "later@1"), ...failed])).toHaveLength(2);
    expect(seen([told(9, "version.added", "late@3"), ...failed])).toEqual([]);
  });
  it("is a decision about a paused rollout", () => {
    const rollout = {
      id: "ro_1",
      model: "late",
      number: 4,
      state: "paused",
      paused_at: "2013-06-01T00:00:00Z",
      history: [{ reason: "a storm" }],
    };
    expect(needs({ ...nothing, rollouts: [rollout] as never[] })[0]).toMatchObject({
      word: "decide",
      said: "a storm",
      lead: { kind: "rollout" },
    });
  });
});

describe("the headline", () => {
  it("says so when there is nothing", () => {
    expect(headline([], [], 0, 0)).toBe("Nothing here yet.");
  });
  it("says that serving is well, and what is not", () => {
    const open = needs({ ...nothing, missing: [{ view: "weather", times: 1, of: 10 }] });
    expect(headline([serving()], open, 5, 5)).toBe("Serving well; weather was missing in 1 of the last 10 answers.");
  });
  it("puts failing requests first", () => {
    const statuses = [serving({ errors: 2 })];
    expect(headline(statuses, needs({ ...nothing, statuses }), 5, 5)).toContain("2 failed requests");
  });
});
