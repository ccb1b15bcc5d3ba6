import type { Schemas } from "../api/client";
import { count, declaredSeconds, declaredSpan, percent, signed, span } from "../design/format";
import type { Tone } from "../design/Pill";

export type Rollout = Schemas["Rollout"];
type Step = Rollout["steps"][number];

export const STATE_TONES: Record<Rollout["state"], Tone> = {
  running: "info",
  paused: "warn",
  promoted: "ok",
  "rolled back": "warn",
  superseded: "quiet",
};

export const isOpen = (rollout: Rollout) => rollout.ended_at === null;
export const candidateOf = (rollout: Rollout) => `${rollout.model}@${rollout.number}`;
export const championOf = (rollout: Rollout) => `${rollout.model}@${rollout.champion}`;

/** `Shadow, 2 days`; `Canary 10 %, 7 days`. */
export function stepTitle(step: Step): string {
  const what = step.kind === "shadow" ? "Shadow" : `Canary ${percent(step.share)}`;
  return `${what}, ${declaredSpan(step.duration)}`;
}

/** When each step began, by the rollout's own history: a step that was never reached has no beginning. */
export function beginnings(rollout: Rollout): (number | undefined)[] {
  return rollout.steps.map((_, at) => {
    const first = rollout.history.find((event) => event.step === at);
    return first && Date.parse(first.at);
  });
}

/** When the last step ends, if nothing stops it: pauses have moved `step_ends_at` already. */
export function wouldEnd(rollout: Rollout): number {
  const rest = rollout.steps.slice(rollout.step + 1).reduce((sum, step) => sum + declaredSeconds(step.duration), 0);
  return Date.parse(rollout.step_ends_at) + rest * 1000;
}

/** How much of the present step has gone by at an event time, from 0 to 1. A pause stops the clock. */
export function shareOfStep(rollout: Rollout, now: number): number {
  const step = rollout.steps[rollout.step];
  const lasting = step ? declaredSeconds(step.duration) * 1000 : 0;
  if (!lasting) return 1;
  const at = rollout.paused_at ? Date.parse(rollout.paused_at) : rollout.ended_at ? Date.parse(rollout.ended_at) : now;
  return Math.min(1, Math.max(0, 1 - (Date.parse(rollout.step_ends_at) - at) / lasting));
}

/** What a step has come to, in words. `now` is event time. */
export function stepSaid(rollout: Rollout, at: number, now: number): string {
  if (at > rollout.step || (at === rollout.step && rollout.state === "superseded")) return "not reached";
  if (at < rollout.step) return rollout.steps[at]?.kind === "shadow" ? "done; nobody got its answers" : "done";
  const gone = (shareOfStep(rollout, now) * declaredSeconds(rollout.steps[at]?.duration ?? "")) | 0;
  const paused = rollout.state === "paused" ? "paused at " : "";
  const scored = rollout.harm ? `, ${count(rollout.harm.rows, "answer")} scored by both` : "";
  return `${paused}${span(gone)}${scored}`;
}

/** What is said of harm, after its word: where the interval lies, and what the bet against the version stands at. */
export function harmSaid(harm: Schemas["Harm"]): string[] {
  if (harm.mean === null || harm.low === null || harm.high === null) return ["No answer that both scored has a matured label yet."];
  const where = `Its log loss is ${signed(harm.mean)} nats against the champion's, 95 % ${signed(harm.low)} to ${signed(harm.high)} at every look at once; ${harm.blocks} ${harm.unit}, ${count(harm.rows, "row")}.`;
  const capital = harm.capital >= 1e6 ? harm.capital.toExponential(1) : harm.capital.toFixed(harm.capital < 10 ? 2 : 0);
  const bet = `Who bet 1 that it does harm owns ${capital}; at ${(1 / harm.alpha).toFixed(0)} it is rolled back. That happens to a version within the tolerance in at most ${percent(harm.alpha)} of rollouts, on the rows seen.`;
  return [where, bet];
}

/** The last thing that happened to it, and why. */
export function lastReason(rollout: Rollout): string {
  return rollout.history.at(-1)?.reason ?? rollout.reason;
}
