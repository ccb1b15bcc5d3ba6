import type { Schemas } from "../api/client";
import { percent } from "../design/format";
import type { Tone } from "../design/Pill";
import { causeOf, WORD_TONES } from "../monitoring/looks";

export type Event = Schemas["Event"];

export interface Happening {
  word: string;
  tone: Tone;
  text: string;
  /** Where its evidence is. */
  evidence?: { kind: "version" | "run" | "endpoint" | "rollout" | "monitor" | "alert" | "trigger"; subject: string };
  /** Who did it, where that is not who asked for it. */
  by?: string;
}

/** An event as a line of the ledger: one word, and the reason. */
export function describe(event: Event): Happening {
  const body = (event.body ?? {}) as Record<string, unknown>;
  const { subject } = event;
  const reason = typeof body.reason === "string" && body.reason ? `: ${body.reason}` : "";
  const version = { kind: "version", subject } as const;
  switch (event.kind) {
    case "version.added":
      return { word: "new version", tone: "quiet", text: `${subject}${body.why ? `: ${body.why}` : ""}`, evidence: version };
    case "version.marked":
      return {
        word: String(body.state),
        tone: body.state === "rejected" ? "bad" : "quiet",
        text: `${subject}${reason}`,
        evidence: version,
      };
    case "gate.passed":
      return { word: String(body.word ?? "passed"), tone: "ok", text: `${subject} at the gate ${body.gate}${reason}`, evidence: version };
    case "gate.rejected":
      return {
        word: String(body.word ?? "rejected"),
        tone: "bad",
        text: `${subject} at the gate ${body.gate}${reason}`,
        evidence: version,
      };
    case "alias.moved": {
      const name = subject.split("@")[0];
      const before = body.previous ? `, before ${name}@${body.previous}` : "";
      return {
        word: "alias",
        tone: "info",
        text: `${subject} is ${name}@${body.number} now${before}`,
        evidence: { kind: "version", subject: `${name}@${body.number}` },
      };
    }
    case "definition.added":
    case "definition.changed":
    case "definition.removed":
      return { word: event.kind.slice(11), tone: "quiet", text: `the ${String(body.kind ?? "definition").replace("_", " ")} ${subject}` };
    case "route.changed": {
      if (body.cause === "candidate" || body.cause === "closed") {
        const tried = body.cause === "candidate";
        const how = Number(body.share) ? `for ${percent(Number(body.share))} of the keys` : "in shadow";
        return {
          word: tried ? "tried" : "closed",
          tone: tried ? "info" : "warn",
          text: tried
            ? `${body.candidate} beside ${body.version} behind ${subject}, ${how}`
            : `${body.version} answers all of ${subject} again`,
          evidence: { kind: "endpoint", subject },
        };
      }
      const back = body.cause === "rollback";
      const text = `${subject} is routed to ${body.version}, epoch ${body.epoch}${reason}`;
      return { word: back ? "rolled back" : "deployed", tone: back ? "warn" : "ok", text, evidence: { kind: "endpoint", subject } };
    }
    case "route.loaded":
    case "route.serving":
    case "route.failed": {
      const failed = event.kind === "route.failed";
      const text = `${subject}, epoch ${body.epoch}, on ${body.process}${body.message ? `: ${body.message}` : ""}`;
      return { word: event.kind.slice(6), tone: failed ? "bad" : "quiet", text, evidence: { kind: "endpoint", subject } };
    }
    case "run.started":
      return { word: "started", tone: "quiet", text: String(body.title ?? ""), evidence: { kind: "run", subject } };
    case "run.ended":
      return {
        word: String(body.status),
        tone: body.status === "failed" || body.status === "lost" ? "bad" : "quiet",
        text: "",
        evidence: { kind: "run", subject },
      };
    case "feature_view.reverted": {
      const name = subject.split("@")[0];
      return {
        word: "reverted",
        tone: "warn",
        text: `${subject} is ${name}@${body.to} again, after ${name}@${body.from}`,
        evidence: version,
      };
    }
    case "candidate.closed":
      return {
        word: "closed",
        tone: "warn",
        text: `${body.version} behind ${subject}${reason}`,
        evidence: rolloutOf(body.salt),
        by: by(body),
      };
    case "rollout.started":
      return { word: "tried", tone: "info", text: `${body.version} behind ${subject}: ${body.step}`, evidence: rolloutOf(body.rollout) };
    case "rollout.ended":
      return {
        word: String(body.state),
        tone: body.state === "promoted" ? "ok" : body.state === "superseded" ? "quiet" : "warn",
        text: `${body.version} behind ${subject}${reason}`,
        evidence: rolloutOf(body.rollout),
        by: by(body),
      };
    case "trigger.fired":
      return {
        word: "asked",
        tone: "info",
        text: `a build of ${body.model}: ${body.cause}`,
        evidence: { kind: "trigger", subject },
        by: subject,
      };
    case "trigger.skipped":
      return {
        word: "skipped",
        tone: "quiet",
        text: `no build of ${body.model}${reason}`,
        evidence: { kind: "trigger", subject },
        by: subject,
      };
    case "trigger.paused":
    case "trigger.resumed": {
      const paused = event.kind === "trigger.paused";
      return {
        word: paused ? "paused" : "resumed",
        tone: paused ? "warn" : "ok",
        text: `the trigger ${subject}${reason}`,
        evidence: { kind: "trigger", subject },
      };
    }
    case "model.not_improved":
      return {
        word: "not improved",
        tone: "warn",
        text: `retraining does not improve ${subject}${reason}`,
        evidence: { kind: "trigger", subject: String(body.trigger) },
      };
    case "model.tried_again":
      return {
        word: "resumed",
        tone: "info",
        text: `whether retraining improves ${subject} is tried again${reason}`,
        evidence: { kind: "trigger", subject: String(body.trigger) },
      };
    case "build.done": {
      const rejected = body.state !== "ready";
      return {
        word: rejected ? String(body.state) : "built",
        tone: rejected ? "bad" : "ok",
        text: `${body.outcome ?? body.version}`,
        evidence: { kind: "version", subject: String(body.version) },
        ...(body.trigger ? { by: String(body.trigger) } : {}),
      };
    }
    case "build.failed":
      return {
        word: "failed",
        tone: "bad",
        text: `the build of ${subject}: ${body.error}`,
        ...(body.trigger ? { evidence: { kind: "trigger", subject: String(body.trigger) }, by: String(body.trigger) } : {}),
      };
    case "alert.opened":
    case "alert.resolved":
    case "alert.acknowledged":
    case "alert.silenced": {
      const state = event.kind.slice(6);
      const word = String(body.word) as keyof typeof WORD_TONES;
      const about = causeOf(body as unknown as Parameters<typeof causeOf>[0]);
      return {
        word: state === "opened" ? word : state,
        tone: state === "opened" ? (WORD_TONES[word] ?? "bad") : state === "resolved" ? "ok" : "info",
        text: state === "opened" ? `${about}: ${body.summary}` : `the alert on ${about}${reason}`,
        evidence: { kind: "alert", subject: String(body.alert) },
        by: subject,
      };
    }
    case "monitor.looked": {
      const word = String(body.word) as keyof typeof WORD_TONES;
      const text = String(body.summary).replace(`${word}: `, "");
      return {
        word,
        tone: word === "not enough data yet" ? "quiet" : (WORD_TONES[word] ?? "quiet"),
        text: `${body.kind}: ${text}`,
        evidence: { kind: "monitor", subject },
        by: subject,
      };
    }
    case "skew.measured":
      return {
        word: body.differing ? "skew" : "no skew",
        tone: body.differing ? "bad" : "ok",
        text: `${subject}: ${Number(body.rows).toLocaleString("en-US")} answers recomputed as known then${body.differing ? `, ${body.differing} values differ` : ""}`,
        evidence: { kind: "endpoint", subject },
      };
    default:
      return {
        word: event.kind.replace(/[._]/g, " "),
        tone: event.kind.includes("fail") ? "bad" : "quiet",
        text: `${subject}${reason || rest(body)}`,
        ...runEvidence(event),
      };
  }
}

function rolloutOf(id: unknown): NonNullable<Happening["evidence"]> {
  return { kind: "rollout", subject: String(id) };
}

function by(body: Record<string, unknown>): string {
  return typeof body.by === "string" ? body.by : "";
}

const UNTOLD = ["run.started", "route.loaded", "route.serving", "trigger.skipped", "gate.passed"];

/** What belongs on the overview: decisions, news and trouble. The events page has all the rest. */
export function worthTelling(event: Event): boolean {
  if (event.kind === "run.ended") return ["failed", "lost"].includes(String((event.body as { status?: string }).status));
  // What a look finds amiss opens an alert, and that is told.
  return !UNTOLD.includes(event.kind) && event.kind !== "monitor.looked" && !event.kind.startsWith("definition.");
}

/** Events with the runs that went silent: nobody is left to tell of their end, so each stands at its last sign of life. Newest first. */
export function withLost(events: readonly Event[], runs: readonly Schemas["RunRow"][]): Event[] {
  const ended = new Set(events.filter((event) => event.kind === "run.ended").map((event) => event.subject));
  const silent = runs
    .filter((run) => run.status === "lost" && !run.ended_at && !ended.has(run.id))
    .map((run, place): Event => {
      const at = new Date(Date.parse(run.started_at) + 1000 * run.duration_seconds).toISOString();
      const body = { status: "lost" } as unknown as Event["body"];
      return { kind: "run.ended", subject: run.id, body, at, actor: run.actor, project: run.project, sequence: -1 - CLOSE * (place + 1) };
    });
  return silent.reduce(
    (all, lost) => {
      const place = all.findIndex((event) => Date.parse(event.at) < Date.parse(lost.at));
      return all.toSpliced(place < 0 ? all.length : place, 0, lost);
    },
    [...events],
  );
}

const CLOSE = 5;

interface Body {
  version?: string;
  candidate?: string;
  cause?: string;
  number?: number;
}

/** The version that an event is about, where it may follow from another that is told already. */
function versionOf(event: Event): string | null {
  const body = event.body as Body;
  switch (event.kind) {
    case "alias.moved":
      return `${event.subject.split("@")[0]}@${body.number}`;
    case "version.added":
    case "version.marked":
      return event.subject;
    case "candidate.closed":
      return body.version ?? null;
    case "route.changed":
      return body.cause === "candidate" ? (body.candidate ?? null) : (body.version ?? null);
    default:
      return null;
  }
}

/** The overview's ledger: what follows from a neighbour that is told already (an alias after its route) is left out. */
export function told(events: readonly Event[]): Event[] {
  const causes = events.flatMap((event) => {
    const body = event.body as Body;
    if (event.kind === "feature_view.reverted") return [{ event, version: event.subject }];
    if (["route.changed", "rollout.started", "rollout.ended", "build.done"].includes(event.kind)) return [{ event, version: body.version }];
    return [];
  });
  const closed = events.filter((event) => event.kind === "candidate.closed" || event.kind === "rollout.ended");
  const near = (one: Event, other: Event) => one !== other && Math.abs(one.sequence - other.sequence) <= CLOSE;
  const follows = (event: Event) => {
    if (event.kind === "route.changed" && (event.body as Body).cause === "closed")
      return closed.some((other) => near(event, other) && other.subject === event.subject);
    const version = versionOf(event);
    if (version === null) return false;
    const from = event.kind === "route.changed" ? ["rollout.started", "rollout.ended"] : null;
    return causes.some((cause) => cause.version === version && near(event, cause.event) && (!from || from.includes(cause.event.kind)));
  };
  return events.filter((event) => worthTelling(event) && !follows(event));
}

function runEvidence(event: Event): Pick<Happening, "evidence"> {
  return event.kind.startsWith("run.") ? { evidence: { kind: "run", subject: event.subject } } : {};
}

function rest(body: Record<string, unknown>): string {
  const said = Object.entries(body).filter(([, value]) => ["string", "number", "boolean"].includes(typeof value));
  return said.length ? `: ${said.map(([name, value]) => `${name} ${value}`).join(", ")}` : "";
}
