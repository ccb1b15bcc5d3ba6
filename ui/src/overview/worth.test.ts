import { expect, it } from "vitest";
import type { Schemas } from "../api/client";
import { weekly } from "./worth";

const block = (auc: number | null, matured = true) => ({ auc, matured }) as Schemas["BlockPerformance"];

it("is the mean of seven matured days, once there are enough of them", () => {
  const days = [0.7, 0.8, 0.7, 0.8, 0.7, 0.8, 0.7, 0.8].map((auc) => block(auc));
  const means = weekly(days);
  expect(means.slice(0, 3)).toEqual([null, null, null]);
  expect(means[3]).toBeCloseTo(0.75);
  expect(means[7]).toBeCloseTo((0.8 * 4 + 0.7 * 3) / 7);
});

it("takes no day that has not matured or has one class only", () => {
  expect(weekly([block(0.9, false), block(null), block(0.7), block(0.7), block(0.7)])[4]).toBeNull();
});
