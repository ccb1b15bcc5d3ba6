import { expect, describe as group, it } from "vitest";
import { describe, type Event, told } from "./events";

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
  it("has words for an event that it does not know", () => {
    expect(describe(event("tail.cut", "landings", { rows: 12 }))).toMatchObject({ word: "tail cut", text: "landings: rows 12" });
  });
});
