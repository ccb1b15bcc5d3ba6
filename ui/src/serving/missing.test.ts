import { describe, expect, it } from "vitest";
import type { Schemas } from "../api/client";
import { missingViews } from "./missing";

function answers(count: number, missing: (at: number) => string[]): Schemas["Answer"][] {
  return Array.from(
    { length: count },
    (_, at) => ({ views: { dest_delays: 1, weather: 3 }, missing: missing(at) }) as unknown as Schemas["Answer"],
  );
}

const windows = new Set(["dest_delays@1"]);

describe("a missing view", () => {
  it("is not an empty window of a quiet airport", () => {
    expect(
      missingViews(
        answers(100, (at) => (at % 5 ? [] : ["dest_delays"])),
        windows,
      ),
    ).toEqual([]);
  });
  it("is a window that is empty for everybody: its source has gone silent", () => {
    expect(
      missingViews(
        answers(100, () => ["dest_delays"]),
        windows,
      ),
    ).toEqual([{ view: "dest_delays", times: 100, of: 100 }]);
    expect(
      missingViews(
        answers(3, () => ["dest_delays"]),
        windows,
      ),
    ).toEqual([]);
  });
  it("is a looked-up view with nothing within its ttl, even once", () => {
    expect(
      missingViews(
        answers(100, (at) => (at ? [] : ["weather"])),
        windows,
      ),
    ).toEqual([{ view: "weather", times: 1, of: 100 }]);
  });
});
