import { describe, expect, it } from "vitest";
import type { RunColumn, RunRow } from "./columns";
import { grouped, linesOf, summary } from "./groups";

function run(id: string, params: Record<string, unknown>, auc: number | null, parent: string | null = null): RunRow {
  return { id, name: id, status: "finished", parent, params, metrics: { auc }, tags: {}, minimum: {}, maximum: {} } as unknown as RunRow;
}

const runs = [
  run("a", { solver: "sgd" }, 0.7, "study"),
  run("b", {}, null),
  run("c", { solver: "adam" }, 0.9, "study"),
  run("d", { solver: "sgd" }, 0.8),
];
const auc: RunColumn = { id: "metrics.auc", title: "auc", family: "metrics", numeric: true };
const solver: RunColumn = { id: "params.solver", title: "solver", family: "params", numeric: false };

describe("groups of runs", () => {
  it("come in the order of their first run, those without a value last", () => {
    expect(grouped(runs, "params.solver").map((group) => [group.value, group.runs.map((one) => one.id)])).toEqual([
      ["sgd", ["a", "d"]],
      ["adam", ["c"]],
      [null, ["b"]],
    ]);
  });
  it("are made of the trials of a study too", () => {
    expect(grouped(runs, "parent").map((group) => [group.value, group.runs.length])).toEqual([
      ["study", 2],
      [null, 2],
    ]);
  });
  it("show their runs only where they are open", () => {
    const lines = linesOf(runs, grouped(runs, "params.solver"), new Set(["sgd"]));
    expect(lines.map((line) => (line.kind === "group" ? line.group.key : line.run.id))).toEqual(["sgd", "adam", "c", "null", "b"]);
  });
  it("are summed up by the range of numbers and by what all share", () => {
    expect(summary(auc, runs)).toBe("0.7000 … 0.9000");
    expect(summary(auc, [runs[1] as RunRow])).toBe("–");
    expect(summary(solver, runs)).toBe("2 values");
    expect(summary(solver, [runs[0], runs[3]] as RunRow[])).toBe("sgd");
  });
});
