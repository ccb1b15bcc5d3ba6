import type { Schemas } from "../api/client";
import type { Tone } from "../design/Pill";

export type Event = Schemas["Event"];

export interface Happening {
  word: string;
  tone: Tone;
  text: string;
  /** Where its evidence is: a version, a run, an endpoint. */
  evidence?: { kind: "version" | "run" | "endpoint"; subject: string };
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
        tone: body.status === "failed" ? "bad" : "quiet",
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

/** What belongs on the overview: decisions, news and trouble. The events page has all the rest. */
export function worthTelling(event: Event): boolean {
  if (event.kind === "run.ended") return (event.body as { status?: string }).status === "failed";
  return !["run.started", "route.loaded", "route.serving"].includes(event.kind) && !event.kind.startsWith("definition.");
}

const CLOSE = 4;

/** The overview's ledger: what follows from a neighbour that is told already (an alias after its route) is left out. */
export function told(events: readonly Event[]): Event[] {
  const causes = events.flatMap((event) => {
    const body = event.body as { version?: string };
    if (event.kind === "route.changed") return [{ sequence: event.sequence, version: body.version }];
    return event.kind === "feature_view.reverted" ? [{ sequence: event.sequence, version: event.subject }] : [];
  });
  const follows = (event: Event) => {
    const body = event.body as { number?: number };
    const name = event.subject.split("@")[0];
    const version = event.kind === "alias.moved" ? `${name}@${body.number}` : event.kind === "version.added" ? event.subject : null;
    return causes.some((cause) => cause.version === version && Math.abs(cause.sequence - event.sequence) <= CLOSE);
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
