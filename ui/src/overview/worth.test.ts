import { describe, expect, it } from "vitest";
import type { Schemas } from "../api/client";
import type { Look } from "../monitoring/looks";
import { type Day, daysOf, weekly } from "./worth";

const seconds = (iso: string) => Date.parse(iso) / 1000;

function look(...days: [string, number | null][]): Look {
  return { figures: { by_day: days.map(([starts, auc]) => ({ starts, rows: 9, auc, log_loss: 0.5 })) } } as unknown as Look;
}

function report(unit: string, ...days: [string, number, { matured?: boolean; labelled?: number }?][]) {
  const by_block = days.map(([starts, auc, other]) => ({ starts, auc, matured: true, labelled: 9, ...other }));
  return { figures: { unit, by_block } } as unknown as Schemas["PerformanceReport"];
}

describe("the days of which it is known how good the answers were", () => {
  it("are those of all looks and of the report, each once and in order", () => {
    const looks = [look(["2013-04-03T04:00:00Z", 0.8]), look(["2013-04-01T04:00:00Z", 0.7], ["2013-04-02T04:00:00Z", null])];
    const days = daysOf(looks, report("days", ["2013-04-03T04:00:00Z", 0.9], ["2013-04-04T04:00:00Z", 0.6]));
    expect(days.map((day) => day.auc)).toEqual([0.7, null, 0.8, 0.6]);
    expect(days[3]?.at).toBe(seconds("2013-04-04T04:00:00Z"));
  });
  it("have those between them that nobody looked at, by a clock that is moved meanwhile", () => {
    const days = daysOf([look(["2013-11-01T04:00:00Z", 0.7]), look(["2013-11-05T05:00:00Z", 0.8])], undefined);
    expect(days.map((day) => day.auc)).toEqual([0.7, null, null, null, 0.8]);
    expect(days[1]?.at).toBe(seconds("2013-11-02T04:00:00Z"));
  });
  it("are none that have not matured or have no label, and none of a report by other blocks", () => {
    const waiting = report("days", ["2013-04-01T04:00:00Z", 0.9, { matured: false }], ["2013-04-02T04:00:00Z", 0.9, { labelled: 0 }]);
    expect(daysOf([], waiting)).toEqual([]);
    expect(daysOf([], report("blocks of 10d", ["2013-04-01T04:00:00Z", 0.9]))).toEqual([]);
    expect(daysOf([{ figures: {} } as Look], undefined)).toEqual([]);
  });
});

describe("the curve", () => {
  const days = (...values: (number | null)[]): Day[] => values.map((auc, at) => ({ at, auc }));

  it("is the mean of seven days, once there are enough of them", () => {
    const means = weekly(days(0.7, 0.8, 0.7, 0.8, 0.7, 0.8, 0.7, 0.8));
    expect(means.slice(0, 3)).toEqual([null, null, null]);
    expect(means[3]).toBeCloseTo(0.75);
    expect(means[7]).toBeCloseTo((0.8 * 4 + 0.7 * 3) / 7);
  });
  it("ends in a gap of days and begins anew after it", () => {
    const week = [0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7];
    const means = weekly(days(...week, ...week.map(() => null), ...week));
    expect(means.slice(10, 17)).toEqual(week.map(() => null));
    expect([means[9], means[17]]).toEqual([expect.closeTo(0.7), expect.closeTo(0.7)]);
  });
});
