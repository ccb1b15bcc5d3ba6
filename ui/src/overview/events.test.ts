import { expect, describe as group, it } from "vitest";
import { describe, type Event } from "./events";

function event(kind: string, subject: string, body: Record<string, unknown>): Event {
  return { sequence: 1, project: "flights", kind, subject, body, at: "2013-04-01T00:00:00Z", actor: "ada" } as Event;
}

group("the ledger", () => {
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
