import { describe, expect, it } from "vitest";
import { aligned, type Curve, curveNames, smooth } from "./curves";

function curve(name: string, steps: number[], last: number[], count = steps.length): Curve {
  return {
    name,
    count,
    steps,
    times: steps.map((step) => 1e6 * step),
    last,
    minimum: last.map((v) => v - 1),
    maximum: last.map((v) => v + 1),
  };
}

const first = { label: "a", token: "series-1", curves: [curve("loss", [0, 2], [3, 1]), curve("auc", [0], [0.7])] };
const second = { label: "b", token: "series-2", curves: [curve("loss", [1, 2], [5, 4], 900)] };

describe("curves of several runs", () => {
  it("share one axis, with holes where a run has no point", () => {
    const { x, series } = aligned([first, second], "loss", "step", 0);
    expect(x).toEqual([0, 1, 2]);
    expect(series.map((one) => one.values)).toEqual([
      [3, null, 1],
      [null, 5, 4],
    ]);
  });
  it("have a band from lowest to highest only where a point stands for several", () => {
    const { series } = aligned([first, second], "loss", "step", 0);
    expect(series.map((one) => one.band?.high)).toEqual([undefined, [null, 6, 5]]);
  });
  it("leave out metrics with a single value", () => {
    expect(curveNames([first, second])).toEqual(["loss"]);
  });
});

it("smooths without pulling the first values towards zero", () => {
  expect(smooth([1, 1, null, 1], 0.6).map((value) => value && Number(value.toFixed(9)))).toEqual([1, 1, null, 1]);
});
