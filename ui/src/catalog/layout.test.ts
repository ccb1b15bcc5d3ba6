import { expect, it } from "vitest";
import type { Schemas } from "../api/client";
import { idOf, pathOf, telling } from "./layout";

function edge(source: string, target: string, role: string) {
  return { source: { name: source, number: 1 }, target: { name: target, number: 1 }, role };
}

it("leaves out edges from views to a model that its training set tells already", () => {
  const edges = [edge("delays", "training", "feature"), edge("delays", "late", "feature"), edge("training", "late", "training")];
  const shown = telling({ nodes: [], edges } as unknown as Schemas["LineageGraph"]);
  expect(shown.map((one) => `${idOf(one.source)} ${idOf(one.target)}`)).toEqual(["delays@1 training@1", "training@1 late@1"]);
});

it("draws nothing for an edge without a route", () => {
  expect(pathOf([])).toBe("");
});
