import { expect, it } from "vitest";
import { keptOf, slugOf } from "./views";

it("keeps how runs are shown, and not which are selected", () => {
  expect(keptOf({ filter: "metrics.auc > 0.7", group: "parent", selected: ["run_1"], folded: ["a"], view: "mine" })).toEqual({
    filter: "metrics.auc > 0.7",
    group: "parent",
  });
});

it("makes a name that can stand in an address", () => {
  expect([slugOf("Best of März, 2013!"), slugOf("  — "), slugOf("tuning_v2")]).toEqual(["Best-of-Marz-2013", "", "tuning_v2"]);
});
