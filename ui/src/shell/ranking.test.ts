import { describe, expect, it } from "vitest";
import { rank } from "./ranking";

const things = ["late_training", "late", "landings", "plane_delays"].map((label) => ({ label, kind: "asset" }));

describe("finding", () => {
  it("puts the exact name before names that begin with it", () => {
    expect(rank(things, "late").map((one) => one.label)).toEqual(["late", "late_training"]);
  });
  it("finds a word inside a name", () => {
    expect(rank(things, "delays")[0]?.label).toBe("plane_delays");
  });
  it("shows everything while nothing is typed", () => {
    expect(rank(things, "")).toHaveLength(4);
  });
  it("finds nothing for letters that are not there", () => {
    expect(rank(things, "xyz")).toEqual([]);
  });
});
