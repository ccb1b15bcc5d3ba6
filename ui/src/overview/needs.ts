import type { Schemas } from "../api/client";
import { count, moment } from "../design/format";
import { causeOf } from "../monitoring/looks";
import type { MissingView } from "../serving/missing";
import { condition, troubles } from "../serving/words";

export interface Need {
  word: "look" | "decide";
  tone: "bad" | "warn";
  text: string;
  said?: string | undefined;
  /** Where it is decided. */
  lead?: { kind: "alert" | "monitor" | "trigger" | "rollout"; subject: string; words: string };
}

interface Seen {
  statuses: Schemas["EndpointStatus"][];
  failedRuns: Schemas["RunRow"][];
  verdicts: Schemas["GateVerdict"][];
  missing: MissingView[];
  datasets: Schemas["DatasetSummary"][];
  alerts?: readonly Schemas["Alert"][];
  triggers?: readonly Schemas["Trigger"][];
  rollouts?: readonly Schemas["Rollout"][];
  /** The newest first. */
  events?: readonly Schemas["Event"][];
}

const MOST_FAILED = 3;
const MOST_NAMED = 4;
const MUCH_TAIL = 100_000;

/** What a person has to look at or decide, the urgent first. Nothing that will settle by itself. */
export function needs(seen: Seen): Need[] {
  const { statuses, failedRuns, verdicts, missing, datasets, alerts = [], triggers = [], rollouts = [], events = [] } = seen;
  const found: Need[] = [];
  for (const status of statuses) {
    const said = condition(status);
    if (said.tone !== "ok" && (said.tone === "bad" || troubles(status).failed > 0))
      found.push({ word: "look", tone: "bad", text: `${status.endpoint.name}: ${said.text}.` });
  }
  const open = alerts.filter((alert) => alert.state === "open").sort((a, b) => URGENT.indexOf(a.kind) - URGENT.indexOf(b.kind));
  const drifted = open.filter((alert) => alert.kind === "drift");
  const monitors = [...new Set(drifted.map((alert) => alert.monitor))];
  found.push(...open.filter((alert) => alert.kind !== "drift").map(ofAlert));
  found.push(...monitors.map((monitor) => ofDrift(drifted.filter((alert) => alert.monitor === monitor))));
  found.push(...triggers.flatMap((trigger) => ofTrigger(trigger, events)), ...rollouts.flatMap(ofRollout));
  const alarmed = new Set(alerts.filter((alert) => alert.kind === "missing").map((alert) => alert.subject));
  for (const { endpoint, route, reason } of statuses)
    if (route?.ungated && !route.candidate)
      found.push({
        word: "decide",
        tone: "warn",
        text: `${endpoint.name} answers with ${endpoint.model}@${endpoint.number}, deployed without a gate's word.`,
        said: reason,
      });
  for (const { view, times, of } of missing.filter(({ view }) => !alarmed.has(view)))
    found.push({
      word: "look",
      tone: "warn",
      text:
        times === of
          ? `${view} had nothing for any of the last ${of} answers.`
          : `${view} was missing in ${times} of the last ${of} answers.`,
      said: times === of ? "its source may have gone silent; they were given on its fallback" : "they were given on its fallback",
    });
  // A version that a gate stopped is rejected, which is a decision already, unless it answers or has answered.
  for (const { model, number, gate, word, reason } of verdicts.filter(({ passed }) => !passed)) {
    const serves = statuses.find(({ endpoint }) => endpoint.model === model && endpoint.number === number);
    if (serves)
      found.push({
        word: "decide",
        tone: "warn",
        text: `${serves.endpoint.name} answers with ${model}@${number}, which did not pass ${gate} when it was judged again: ${word}.`,
        said: reason,
      });
  }
  // A build's runs are of the experiment that is named as its model.
  const failures = failedRuns.filter(
    ({ id, experiment }) => !builtSince(events, experiment, (one) => one.kind === "run.ended" && one.subject === id),
  );
  for (const run of failures.slice(0, MOST_FAILED))
    found.push({
      word: "look",
      tone: "bad",
      text: `The run ${run.name} ${run.status === "lost" ? "was lost" : "failed"}.`,
      said: run.title ?? run.experiment ?? undefined,
    });
  for (const dataset of datasets)
    if (dataset.tail_rows > MUCH_TAIL)
      found.push({
        word: "decide",
        tone: "warn",
        text: `${dataset.name} has ${count(dataset.tail_rows, "appended row")} in no version yet.`,
        said: `clew cut ${dataset.name}`,
      });
  return found;
}

const URGENT = ["missing", "performance", "skew", "regret", "drift"];

/** An open alert: what was found, and that somebody has to say something to it. */
function ofAlert(alert: Schemas["Alert"]): Need {
  const texts: Record<typeof alert.kind, string> = {
    missing: `${alert.subject} has been missing since ${moment(alert.opened_at)}.`,
    drift: `${alert.subject} has changed by ${moment(alert.opened_at)}, says ${alert.monitor}.`,
    skew: `${alert.subject} gives other values in serving than when recomputed.`,
    performance: `${alert.monitor} says worse than on unseen rows.`,
    regret: `${alert.monitor} says that a fresh model would be better.`,
  };
  return {
    word: "look",
    tone: "bad",
    text: texts[alert.kind],
    said: alert.subject ? alert.summary.replace(`${alert.subject}: `, "") : alert.summary,
    lead: { kind: "alert", subject: String(alert.id), words: `acknowledge, silence or resolve ${causeOf(alert)}` },
  };
}

/** What changed, of one monitor together: the world moves in several columns at once, and each asks the same of a person. */
function ofDrift(alerts: Schemas["Alert"][]): Need {
  const [first] = alerts as [Schemas["Alert"], ...Schemas["Alert"][]];
  const need: Need = { ...ofAlert(first), word: "decide", tone: "warn" };
  if (alerts.length === 1) return need;
  const names = alerts.map((alert) => alert.subject);
  const named = names.length > MOST_NAMED ? [...names.slice(0, MOST_NAMED - 1), `${names.length - MOST_NAMED + 1} more`] : names;
  const until = alerts
    .map((alert) => alert.opened_at)
    .sort()
    .at(-1);
  return {
    ...need,
    text: `${named.slice(0, -1).join(", ")} and ${named.at(-1)} have changed by ${moment(until)}, says ${first.monitor}.`,
    said: undefined,
    lead: { kind: "monitor", subject: first.monitor, words: "acknowledge, silence or resolve each" },
  };
}

/**
 * Whether a build of the model brought a version after it had failed. Told by the order of events: runs end by the wall clock, and
 * events are of event time. A failure that no event tells of, or too old a one, is held against no later build.
 */
function builtSince(events: readonly Schemas["Event"][], model: string | null, failed: (event: Schemas["Event"]) => boolean): boolean {
  const failure = events.find(failed);
  return (
    !!failure &&
    events.some(
      ({ kind, subject, sequence }) =>
        sequence > failure.sequence &&
        ((kind === "build.done" && subject === model) || (kind === "version.added" && subject.startsWith(`${model}@`))),
    )
  );
}

function ofTrigger(trigger: Schemas["Trigger"], events: readonly Schemas["Event"][]): Need[] {
  const lead = { kind: "trigger", subject: trigger.name, words: "resume, or leave it" } as const;
  if (trigger.state === "paused")
    return [
      {
        word: "decide",
        tone: "warn",
        text: `The trigger ${trigger.name} of ${trigger.model} is paused. Let it ask again?`,
        said: trigger.reason,
        lead,
      },
    ];
  const last = trigger.builds[0];
  if (last?.job.state !== "failed") return [];
  const tells = ({ kind, body }: Schemas["Event"]) => kind === "build.failed" && (body as { job?: string }).job === last.job.id;
  if (builtSince(events, trigger.model, tells)) return [];
  return [
    {
      word: "look",
      tone: "bad",
      text: `The last build of ${trigger.model} failed.`,
      said: last.outcome,
      lead: { ...lead, words: "its builds; ask again" },
    },
  ];
}

function ofRollout(rollout: Schemas["Rollout"]): Need[] {
  if (rollout.state !== "paused") return [];
  const lead = { kind: "rollout", subject: rollout.id, words: "resume, promote or roll back" } as const;
  const text = `The rollout of ${rollout.model}@${rollout.number} is paused since ${moment(rollout.paused_at)}. Go on?`;
  return [{ word: "decide", tone: "warn", text, said: rollout.history.at(-1)?.reason, lead }];
}

/** The page's conclusion in words. */
export function headline(statuses: Schemas["EndpointStatus"][], open: Need[], assets: number, runs: number): string {
  const urgent = open.filter((need) => need.tone === "bad");
  if (!statuses.length) {
    if (!assets && !runs) return "Nothing here yet.";
    if (!assets) return "Runs are tracked; nothing is built or served yet.";
    return urgent.length
      ? `Nothing is served yet; ${urgent[0]?.text.replace(/\.$/, "").replace(/^The/, "the")}.`
      : "Built and tracked; nothing is served yet.";
  }
  const well = statuses.every((status) => condition(status).tone === "ok");
  if (!well) return `Serving needs a look: ${open[0]?.text ?? "see below."}`;
  const rest = open[0];
  return rest ? `Serving well; ${rest.text.charAt(0).toLowerCase()}${rest.text.slice(1)}` : "Serving well.";
}
