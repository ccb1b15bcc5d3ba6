import { expect, describe as group, it } from "vitest";
import { describe, type Event, told, withLost } from "./events";

function event(kind: string, subject: string, body: Record<string, unknown>): Event {
  return { sequence: 1, project: "flights", kind, subject, body, at: "2013-04-01T00:00:00Z", actor: "ada" } as Event;
}

group("the ledger", () => {
  it("tells a deploy once, and not its alias too", () => {
    const moved = { ...event("alias.moved", "late@champion", { number: 2 }), sequence: 7 } as Event;
    const routed = { ...event("route.changed", "late", { version: "late@2", epoch: 1, cause: "deploy" }), sequence: 8 } as Event;
    expect(told([routed, moved]).map((one) => one.kind)).toEqual(["route.changed"]);
    expect(told([moved]).map((one) => one.kind)).toEqual(["alias.moved"]);
  });
  it("tells a revert once, and not as a new version too", () => {
    const added = { ...event("version.added", "delays@4", { why: "reverted to delays@2" }), sequence: 3 } as Event;
    const reverted = { ...event("feature_view.reverted", "delays@4", { to: 2, from: 3 }), sequence: 4 } as Event;
    expect(told([reverted, added]).map((one) => one.kind)).toEqual(["feature_view.reverted"]);
  });
  it("says why a version is new", () => {
    expect(describe(event("version.added", "late@2", { why: "data: landings@3" })).text).toBe("late@2: data: landings@3");
  });
  it("shows a rejected version in the colour for harm, with the gate's word", () => {
    expect(describe(event("gate.rejected", "late@3", { gate: "no_worse", word: "worse", reason: "AUC −0.021" }))).toMatchObject({
      word: "worse",
      tone: "bad",
    });
  });
  it("names both versions when an alias moves", () => {
    expect(describe(event("alias.moved", "late@champion", { number: 2, previous: 1 })).text).toBe(
      "late@champion is late@2 now, before late@1",
    );
  });
  it("tells of a lost run, and of one that went silent at its last sign of life", () => {
    const lost = event("run.ended", "run_1", { status: "lost" });
    expect(told([lost])).toEqual([lost]);
    expect(describe(lost)).toMatchObject({ word: "lost", tone: "bad" });
    const run = { id: "run_2", status: "lost", started_at: "2013-03-31T23:00:00Z", ended_at: null, duration_seconds: 60, actor: "ada" };
    const all = withLost([lost], [{ ...run, id: "run_1" }, run] as never[]);
    expect(all.map((one) => [one.subject, one.at])).toEqual([
      ["run_1", "2013-04-01T00:00:00Z"],
      ["run_2", "2013-03-31T23:01:00.000Z"],
    ]);
  });
  it("has words for an event that it does not know", () => {
    expect(describe(event("tail.cut", "landings", { rows: 12 }))).toMatchObject({ word: "tail cut", text: "landings: rows 12" });
  });
  it("tells a rollback once, by whom and why, and not its route, its closed candidate and its mark too", () => {
    const at = (sequence: number, kind: string, subject: string, body: Record<string, unknown>) =>
      ({ ...event(kind, subject, body), sequence }) as Event;
    const ended = at(34, "rollout.ended", "late", {
      rollout: "ro_1",
      version: "late@3",
      state: "rolled back",
      reason: "worse",
      by: "guard",
    });
    const rest = [
      at(33, "version.marked", "late@3", { state: "rejected", reason: "rolled back" }),
      at(32, "candidate.closed", "late", { version: "late@3", reason: "worse" }),
      at(31, "route.changed", "late", { epoch: 4, version: "late@2", cause: "closed" }),
    ];
    expect(told([ended, ...rest]).map((one) => one.kind)).toEqual(["rollout.ended"]);
    expect(describe(ended)).toMatchObject({
      word: "rolled back",
      tone: "warn",
      by: "guard",
      evidence: { kind: "rollout", subject: "ro_1" },
    });
  });
  it("tells a canary's next step, which no rollout's beginning tells", () => {
    const share = event("route.changed", "late", { epoch: 6, version: "late@2", cause: "candidate", candidate: "late@4", share: 0.1 });
    expect(told([share])).toHaveLength(1);
    expect(describe(share).text).toBe("late@4 beside late@2 behind late, for 10 % of the keys");
  });
  it("tells an alert by its word and cause, with a way to it", () => {
    const opened = event("alert.opened", "quality", { alert: 7, kind: "missing", subject: "weather", word: "missing", summary: "no row" });
    expect(describe(opened)).toMatchObject({
      word: "missing",
      tone: "bad",
      text: "missing of weather: no row",
      evidence: { kind: "alert", subject: "7" },
    });
  });
  it("tells a rejected build with its outcome", () => {
    const done = event("build.done", "late", {
      version: "late@5",
      state: "rejected",
      outcome: "late@5 rejected: worse, AUC −0.021",
      trigger: "monthly",
    });
    expect(describe(done)).toMatchObject({ word: "rejected", tone: "bad", by: "monthly" });
  });
});
