import { expect, it, vi } from "vitest";

vi.mock("uplot", () => ({ default: class {} }));
vi.mock("uplot/dist/uPlot.min.css", () => ({}));
vi.mock("./theme", () => ({ colour: () => "rgb(0, 0, 0)", useShade: () => "light" }));

const { axisFigure, told } = await import("./Chart");

it("never says two neighbours of an axis by the same figure", () => {
  const marks = [0.74, 0.745, 0.75, 0.755];
  expect(marks.map((mark) => axisFigure(mark, 0.005))).toEqual(["0.740", "0.745", "0.750", "0.755"]);
  expect([10_000, 10_500].map((mark) => axisFigure(mark, 500))).toEqual(["10 k", "10.5 k"]);
});

it("leaves out a label that repeats the one before it", () => {
  expect(told(["0", "0", "1", "1", "2"])).toEqual(["0", "", "1", "", "2"]);
});
