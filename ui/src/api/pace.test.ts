import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { FIRST_MS, paced, STEADY_MS } from "./pace";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("reads a single change soon", async () => {
  const read = vi.fn(async () => undefined);
  paced(read).changed();
  await vi.advanceTimersByTimeAsync(FIRST_MS);
  expect(read).toHaveBeenCalledTimes(1);
});

it("reads a thousand changes in ten seconds a handful of times, and the last of them too", async () => {
  const read = vi.fn(async () => undefined);
  const pace = paced(read);
  for (let step = 0; step < 1_000; step++) {
    pace.changed();
    await vi.advanceTimersByTimeAsync(10);
  }
  const during = read.mock.calls.length;
  expect(during).toBeLessThanOrEqual(1 + 10_000 / STEADY_MS);
  await vi.advanceTimersByTimeAsync(STEADY_MS);
  expect(read.mock.calls.length).toBe(during + 1);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(read.mock.calls.length).toBe(during + 1);
});

it("begins no reading while the last one lasts, whatever becomes of it", async () => {
  let fail: (error: Error) => void = () => undefined;
  const read = vi.fn(() => new Promise((_, reject) => (fail = reject)));
  const pace = paced(read);
  pace.changed();
  await vi.advanceTimersByTimeAsync(FIRST_MS);
  pace.changed();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(read).toHaveBeenCalledTimes(1);
  fail(new Error("away"));
  await vi.advanceTimersByTimeAsync(2 * FIRST_MS);
  expect(read).toHaveBeenCalledTimes(2);
});

it("reads nothing after it was stopped", async () => {
  const read = vi.fn(async () => undefined);
  const pace = paced(read);
  pace.changed();
  pace.stop();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(read).not.toHaveBeenCalled();
});
