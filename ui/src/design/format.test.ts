import { describe, expect, it } from "vitest";
import { bytes, duration, figure, microseconds, percent, plain, signed } from "./format";

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
  });
  it("puts any value on one line", () => {
    expect([plain(true), plain([1, 2]), plain(null)]).toEqual(["yes", "[1,2]", "–"]);
  });
});
