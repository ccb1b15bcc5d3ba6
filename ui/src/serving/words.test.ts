import { describe, expect, it } from "vitest";
import type { Schemas } from "../api/client";
import { asked, condition, curlOf, ignoredSaid, rollbackTarget, troublesSaid } from "./words";

function status(change: Record<string, unknown>): Schemas["EndpointStatus"] {
  const process = { process: "p", alive: true, state: "serving", message: "", epoch: 2 };
  return {
    processes: [process],
    flipped: true,
    requests: 0,
    errors: 0,
    refused: 0,
    ignored: {},
    minutes: [],
    ...change,
  } as unknown as Schemas["EndpointStatus"];
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
  it("takes what was refused for no failure", () => {
    const said = condition(status({ requests: 1200, errors: 4, refused: 3 }));
    expect(said).toEqual({ tone: "warn", text: "1 failed request of 1,200 in the last hour; 3 refused" });
    expect(condition(status({ requests: 12, errors: 3, refused: 3 }))).toEqual({
      tone: "ok",
      text: "no failed request of 12 in the last hour; 3 refused",
    });
  });
  it("counts what failed apart from what was refused", () => {
    expect([
      troublesSaid({ errors: 4, refused: 3 }),
      troublesSaid({ errors: 3, refused: 3 }),
      troublesSaid({ errors: 0, refused: 0 }),
    ]).toEqual([", 1 failed, 3 refused", ", 3 refused", ""]);
  });
  it("is quiet while all is well", () => {
    expect(condition(status({ requests: 41 }))).toEqual({ tone: "ok", text: "no failed request of 41 in the last hour" });
  });
});

describe("fields that nobody takes", () => {
  it("are named with the requests that have them", () => {
    expect(ignoredSaid({ ignored: { seat: 1, hr: 1200 } })).toBe(
      "Requests have fields that nobody takes, and they are left out: hr (1,200), seat (1)",
    );
    expect(ignoredSaid({ ignored: {} })).toBe("");
  });
});

describe("where a rollback leads", () => {
  const route = (epoch: number, cause: string) => ({ epoch, cause }) as unknown as Schemas["Route"];
  it("is what stood before the last deploy", () => {
    expect(rollbackTarget([route(2, "deploy"), route(1, "deploy")])?.epoch).toBe(1);
  });
  it("is nowhere after the first deploy, and after all of the others were rolled back", () => {
    expect(rollbackTarget([route(1, "deploy")])).toBeUndefined();
    expect(rollbackTarget([route(3, "rollback"), route(2, "deploy"), route(1, "deploy")])).toBeUndefined();
  });
  it("goes one step further back at each rollback", () => {
    expect(rollbackTarget([route(4, "rollback"), route(3, "deploy"), route(2, "deploy"), route(1, "deploy")])?.epoch).toBe(1);
  });
});

it("reads a request's row without names", () => {
  expect(asked({ departs: "2013-04-01T12:10:00-04:00", carrier: "UA", tailnum: null })).toBe("2013-04-01 12:10 · UA");
});

describe("the command that asks", () => {
  it("has a row that was asked before, quoted for a shell", () => {
    expect(curlOf("http://127.0.0.1:1", "late", { carrier: "O'Hare" }, [])).toBe(
      `curl http://127.0.0.1:1/endpoints/late/predict -H 'content-type: application/json' -d '{"rows":[{"carrier":"O'\\''Hare"}]}'`,
    );
  });
  it("names the fields while nothing was asked", () => {
    expect(curlOf("http://h", "late", undefined, [{ name: "hour", required: true }])).toContain('{"rows":[{"hour":"…"}]}');
  });
});
