import { describe, expect, it } from "vitest";
import type { Schemas } from "../api/client";
import { judgedOf, passedAll, standing } from "./judged";

function verdict(gate: string, passed: boolean, at: string): Schemas["GateVerdict"] {
  return { gate, passed, at, model: "late", number: 1, word: "", reason: "", figures: {} } as unknown as Schemas["GateVerdict"];
}

describe("what gates have said", () => {
  it("counts the newest verdict of each gate", () => {
    const verdicts = [verdict("no_worse", true, "2"), verdict("fair", true, "2"), verdict("no_worse", false, "1")];
    expect(standing(verdicts).map((one) => [one.gate, one.at])).toEqual([
      ["no_worse", "2"],
      ["fair", "2"],
    ]);
    expect(passedAll(verdicts)).toBe(true);
  });
  it("lets nothing pass that no gate has judged", () => {
    expect(passedAll([])).toBe(false);
  });
  it("lets one gate alone stop a version", () => {
    expect(passedAll([verdict("no_worse", true, "1"), verdict("fair", false, "1")])).toBe(false);
  });
  it("looks at what a version is the refit of", () => {
    const version = { name: "late", number: 2, details: { refit_of: { name: "late", number: 1 } } } as unknown as Schemas["AssetVersion"];
    expect(judgedOf(version)).toEqual({ name: "late", number: 1 });
  });
});
