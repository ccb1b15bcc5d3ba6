/** Soon after the first of some changes; while they go on, and while the last reading lasts, no oftener than this. */
export const FIRST_MS = 400;
export const STEADY_MS = 2_500;

interface Clock {
  now: () => number;
  later: (run: () => void, ms: number) => unknown;
  never: (timer: unknown) => void;
}

const CLOCK: Clock = {
  now: () => Date.now(),
  later: (run, ms) => setTimeout(run, ms),
  never: (timer) => clearTimeout(timer as ReturnType<typeof setTimeout>),
};

/** Gathers changes into readings: many a second make one reading every few seconds, a single one is read at once. */
export function paced(read: () => Promise<unknown>, clock: Clock = CLOCK) {
  let timer: unknown;
  let reading = false;
  let waiting = false;
  let last = Number.NEGATIVE_INFINITY;
  const plan = () => {
    if (timer !== undefined || reading) return;
    timer = clock.later(run, Math.max(FIRST_MS, last + STEADY_MS - clock.now()));
  };
  const run = async () => {
    timer = undefined;
    waiting = false;
    reading = true;
    last = clock.now();
    await read().catch(() => undefined); // what could not be read says so where it is shown
    reading = false;
    if (waiting) plan();
  };
  return {
    changed() {
      waiting = true;
      plan();
    },
    stop() {
      clock.never(timer);
      timer = undefined;
    },
  };
}
