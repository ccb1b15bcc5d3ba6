import { describe, expect, it } from "vitest";
import { ordinal, standingOf } from "./standing";

describe("where a value stands", () => {
  const all = [0.5, 0.6, 0.7, 0.8, 0.9];
  it("is said from the nearer end", () => {
    expect(standingOf(0.8, all, undefined)).toBe("2nd highest of 5");
    expect(standingOf(0.6, all, undefined)).toBe("2nd lowest of 5");
  });
  it("is best or worst where the study says which way is better", () => {
    expect(standingOf(0.9, all, "maximize")).toBe("the best of 5");
    expect(standingOf(0.9, all, "minimize")).toBe("the worst of 5");
    expect(standingOf(0.6, all, "minimize")).toBe("2nd best of 5");
  });
  it("is nothing alone, and the same among equals", () => {
    expect(standingOf(0.5, [0.5], undefined)).toBe("");
    expect(standingOf(0.5, [0.5, 0.5], "maximize")).toBe("the same in all 2");
  });
});

it("writes places in words", () => {
  expect([1, 2, 3, 4, 11, 12, 21, 112].map(ordinal)).toEqual(["1st", "2nd", "3rd", "4th", "11th", "12th", "21st", "112th"]);
});
