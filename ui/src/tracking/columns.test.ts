import { describe, expect, it } from "vitest";
import { cellOf, columnsOf, defaultColumns, differing, nextOrder, type RunRow } from "./columns";

function run(id: string, params: Record<string, unknown>, metrics: Record<string, number>): RunRow {
  return {
    id,
    name: id,
    status: "finished",
    params,
    metrics,
    tags: {},
    minimum: {},
    maximum: {},
    duration_seconds: 1,
    started_at: "2026-01-01T00:00:00Z",
  } as unknown as RunRow;
}

const runs = [run("a", { lr: 0.1, depth: 3 }, { "train/loss": 0.5 }), run("b", { lr: 0.2, depth: 3 }, { "train/loss": 0.4 })];

describe("columns of runs", () => {
  it("reads a value by the name that the filter language has for it", () => {
    expect(cellOf(runs[0] as RunRow, "metrics.train/loss")).toBe(0.5);
  });
  it("keeps only what differs", () => {
    expect(differing(columnsOf(runs), runs).map((column) => column.id)).toEqual(["metrics.train/loss", "params.lr"]);
  });
  it("counts a value that is missing in one run as a difference", () => {
    const more = [...runs, run("c", { lr: 0.1 }, {})];
    expect(differing(columnsOf(more), more).map((column) => column.id)).toContain("params.depth");
  });
  it("shows what differs before what does not", () => {
    const chosen = defaultColumns(columnsOf(runs), runs);
    expect(chosen.indexOf("params.lr")).toBeLessThan(chosen.indexOf("params.depth"));
  });
  it("takes the only value of a metric for its lowest and highest", () => {
    const several = { ...run("d", {}, { loss: 0.5 }), minimum: { loss: 0.1 } } as RunRow;
    expect([cellOf(several, "minimum.loss"), cellOf(run("e", {}, { loss: 0.4 }), "minimum.loss")]).toEqual([0.1, 0.4]);
    expect(columnsOf([several]).map((column) => column.title)).toContain("lowest loss");
  });
  it("leaves out at first what few runs have", () => {
    const many = Array.from({ length: 20 }, (_, at) => run(`r${at}`, { lr: at, ...(at ? {} : { trials: 16 }) }, {}));
    expect(defaultColumns(columnsOf(many), many)).not.toContain("params.trials");
  });
  it("knows which columns hold numbers only", () => {
    expect(
      columnsOf(runs)
        .filter((column) => column.numeric)
        .map((column) => column.id),
    ).toEqual(["metrics.train/loss", "params.lr", "params.depth", "duration"]);
  });
});

it("orders down, then up, then by time again", () => {
  expect([nextOrder("-started", "metrics.auc"), nextOrder("-metrics.auc", "metrics.auc"), nextOrder("metrics.auc", "metrics.auc")]).toEqual(
    ["-metrics.auc", "metrics.auc", undefined],
  );
});
