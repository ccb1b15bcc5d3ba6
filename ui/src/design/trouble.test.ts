import { describe, expect, it } from "vitest";
import { ServerError } from "../api/client";
import { kindOf, mayPass } from "./trouble";

describe("trouble", () => {
  it("says that somebody may not, and does not offer to try again", () => {
    const error = new ServerError("forbidden", "deploying needs the role deployer", 403);
    expect([kindOf(error), mayPass(error)]).toEqual(["You may not do this.", false]);
  });
  it("offers to try again what may pass by itself", () => {
    expect(mayPass(new ServerError("unavailable", "the database is locked", 503))).toBe(true);
    expect(mayPass(new ServerError("unreachable", "The server does not answer.", 0))).toBe(true);
    expect(mayPass(new Error("a bug"))).toBe(true);
  });
});
