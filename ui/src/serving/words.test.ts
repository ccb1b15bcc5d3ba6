import { describe, expect, it } from "vitest";
import type { Schemas } from "../api/client";
import { asked, condition } from "./words";

function status(change: Record<string, unknown>): Schemas["EndpointStatus"] {
  const process = { process: "p", alive: true, state: "serving", message: "", epoch: 2 };
  return { processes: [process], flipped: true, requests: 0, errors: 0, minutes: [], ...change } as unknown as Schemas["EndpointStatus"];
}

describe("an endpoint's condition", () => {
  it("says first that nothing answers", () => {
    expect(condition(status({ processes: [], errors: 3 })).tone).toBe("bad");
  });
  it("says why a route could not be loaded", () => {
    const failed = { alive: true, state: "failed", message: "no blob sha256:ab" };
    expect(condition(status({ processes: [failed], flipped: false })).text).toContain("no blob sha256:ab");
  });
  it("counts failures against requests", () => {
    expect(condition(status({ requests: 1200, errors: 1 })).text).toBe("1 failed request of 1,200 in the last hour");
  });
  it("is quiet while all is well", () => {
    expect(condition(status({ requests: 41 }))).toEqual({ tone: "ok", text: "no failed request of 41 in the last hour" });
  });
});

it("reads a request's row without names", () => {
  expect(asked({ departs: "2013-04-01T12:10:00-04:00", carrier: "UA", tailnum: null })).toBe("2013-04-01 12:10 · UA");
});
