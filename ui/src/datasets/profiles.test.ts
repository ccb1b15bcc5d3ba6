import { describe, expect, it } from "vitest";
import { axisOf, barsOf, barsOfValues, type ColumnProfile, categoriesOf, missingSaid, missingTold, valueSaid } from "./profiles";

function column(change: Record<string, unknown>): ColumnProfile {
  return {
    name: "delay",
    bins: { kind: "number", dtype: "Float64", edges: [0, 10, 20], values: [] },
    rows: 100,
    nulls: 0,
    nans: 0,
    infinite: 0,
    counts: [10, 40, 40, 10],
    rest: { total: 0, heaviest: [], error: 0 },
    moments: { count: 100, minimum: -500, maximum: 21, mean: 9, squared: 1 },
    ...change,
  } as ColumnProfile;
}

describe("a number's histogram", () => {
  it("shows the inner bins, and of far tails a part", () => {
    expect(axisOf(column({}))).toEqual([-2.4, 21]);
  });
  it("has each bin's values spread over its reach, and bars of one area altogether", () => {
    const bars = barsOf(
      column({ bins: { kind: "number", dtype: "f", edges: [0, 1, 20], values: [] }, counts: [0, 50, 50, 0] }),
      [0, 20],
      20,
    );
    expect(bars.map((bar) => bar.count)).toEqual([50, ...new Array(19).fill(3)]);
    expect(bars.reduce((sum, bar) => sum + bar.height * (bar.to - bar.from), 0)).toBeCloseTo(1);
  });
  it("has no needle where a bin is as narrow as one value", () => {
    const edges = [-1e-38, 1e-38, 10];
    const bars = barsOf(column({ bins: { kind: "number", dtype: "f", edges, values: [] }, counts: [0, 60, 40, 0] }), [-1e-38, 10], 10);
    expect(bars[0]?.height).toBeCloseTo(6.4);
    expect(bars[1]?.height).toBeCloseTo(0.4);
    expect(valueSaid(column({}), -1.18e-38)).toBe("0");
  });
  it("has none without edges", () => {
    expect(axisOf(column({ bins: { kind: "other", dtype: "List", edges: [], values: [] } }))).toBeNull();
  });
});

describe("a category", () => {
  const bins = { kind: "category", dtype: "String", edges: [], values: ["UA", "AA"] };
  it("shows the heaviest first, with those that only the rest knows and how wrong they may be", () => {
    const after = column({ bins, counts: [60, 20], rest: { total: 20, heaviest: [["ZZ", 15]], error: 2 } });
    const { shown, others } = categoriesOf(after);
    expect(shown.map(({ value, share, error }) => [value, share, error])).toEqual([
      ["UA", 0.6, 0],
      ["AA", 0.2, 0],
      ["ZZ", 0.15, 0.02],
    ]);
    expect(others).toBeCloseTo(0.05);
  });
  it("keeps one that is gone, with its share before", () => {
    const [before, after] = [column({ bins, counts: [50, 50] }), column({ bins, counts: [100, 0] })];
    expect(categoriesOf(after, before).shown[1]).toMatchObject({ value: "AA", share: 0, before: 0.5 });
  });
});

it("says how much is missing, and from what to what it went", () => {
  expect([missingSaid(column({})), missingSaid(column({ nulls: 5 }))]).toEqual(["–", "5 %"]);
  expect(missingSaid(column({ nulls: 12 }), column({ nulls: 5 }))).toBe("5 % → 12 %");
});

describe("in one line of a table", () => {
  const bins = { kind: "category", dtype: "Float32", edges: [], values: ["10", "0", "2"] };
  it("a category of numbers has its bars in their order, those without a bin last", () => {
    const now = column({ bins, counts: [10, 60, 20], rest: { total: 10, heaviest: [], error: 10 } });
    const { bars, earlier, names } = barsOfValues(now, column({ bins, counts: [50, 25, 25] }));
    expect(names).toEqual(["0", "2", "10", "others"]);
    expect(bars.map((bar) => bar.count)).toEqual([60, 20, 10, 10]);
    expect(bars[0]?.height).toBeCloseTo(0.6 * 4);
    expect(earlier.map((bar) => bar.count)).toEqual([25, 25, 50, 0]);
  });
  it("a category of words keeps the order of the reference", () => {
    const words = column({ bins: { ...bins, values: ["UA", "AA"] }, counts: [1, 3] });
    expect(barsOfValues(words).names).toEqual(["UA", "AA"]);
  });
  it("what is missing is told when it can be seen", () => {
    expect([missingTold(column({ nulls: 0 })), missingTold(column({ nulls: 9 }))]).toEqual([null, "9 %"]);
    expect(missingTold(column({ nulls: 43 }), column({ nulls: 0 }))).toBe("0 → 43 %");
  });
});
