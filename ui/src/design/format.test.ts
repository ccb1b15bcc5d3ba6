import { describe, expect, it } from "vitest";
import { bytes, declaredSpan, duration, figure, microseconds, moment, percent, plain, retold, signed, span } from "./format";

describe("figures", () => {
  it("keeps four digits of a score and a real minus sign", () => {
    expect(figure(0.79142)).toBe("0.7914");
    expect(figure(-0.02)).toBe("−0.0200");
  });
  it("groups large whole numbers and says small ones by exponent", () => {
    expect(figure(25358)).toBe("25,358");
    expect(figure(0.00001)).toBe("1.00e-5");
  });
  it("shows a dash for what is not there and a word for infinity", () => {
    expect(figure(null)).toBe("–");
    expect(figure(Number.NaN)).toBe("–");
    expect(figure(Number.NEGATIVE_INFINITY)).toBe("−∞");
  });
  it("signs a difference both ways", () => {
    expect([signed(0.003), signed(-0.021)]).toEqual(["+0.003", "−0.021"]);
  });
});

describe("units", () => {
  it("writes durations as clocks", () => {
    expect([duration(41), duration(7390)]).toEqual(["0:41", "2:03:10"]);
  });
  it("chooses the unit by size", () => {
    expect([microseconds(310), microseconds(1940), bytes(532_000)]).toEqual(["310 µs", "1.9 ms", "532 kB"]);
  });
  it("says a small share with a digit more", () => {
    expect([percent(0.005), percent(0.5), percent(1)]).toEqual(["0.5 %", "50 %", "100 %"]);
    expect([percent(0.00012), percent(0.034)]).toEqual(["0.012 %", "3.4 %"]);
  });
  it("puts any value on one line", () => {
    expect([plain(true), plain([1, 2]), plain(null)]).toEqual(["yes", "[1,2]", "–"]);
  });
});

describe("times", () => {
  it("are told with their zone, by its clock in winter and in summer", () => {
    const now = new Date("2013-12-31T00:00:00Z");
    expect(moment("2013-12-30T23:00:00Z", "America/New_York", now)).toBe("30 Dec 18:00 EST");
    expect(moment("2013-07-01T08:05:00Z", "America/New_York", now)).toBe("1 Jul 04:05 EDT");
    expect(moment("2012-07-01T08:05:00Z", "UTC", now)).toBe("1 Jul 2012 08:05 UTC");
  });
  it("last in their largest whole unit", () => {
    expect([span(3 * 86_400 + 5), span(7_200), declaredSpan("7d"), declaredSpan("1d")]).toEqual(["3 days", "2 hours", "7 days", "1 day"]);
  });
});

it("retells the server's words with a space before % and times by the page's clock", () => {
  expect(retold("9.4% of rows; the newest is of 2013-05-20 21:00 UTC")).toBe("9.4 % of rows; the newest is of 20 May 2013 21:00 UTC");
  expect(retold("the newest row is 1,385.5 hours old")).toBe("the newest row is 57.7 days old");
  expect(retold("the newest row is 48.0 hours old")).toBe("the newest row is 48.0 hours old");
});
