import { expect, it } from "vitest";
import { keeper } from "./writes";

it("gives a change that is tried again the key that it had, and another change another", () => {
  let made = 0;
  const keys = keeper(() => `key ${++made}`);
  expect(keys.keyOf({ name: "late" }, { reason: "a" })).toBe("key 1");
  expect(keys.keyOf({ name: "late" }, { reason: "a" })).toBe("key 1");
  expect(keys.keyOf({ name: "late" }, { reason: "b" })).toBe("key 2");
  keys.done();
  expect(keys.keyOf({ name: "late" }, { reason: "b" })).toBe("key 3");
});
