import type { Schemas } from "../api/client";
import { count, figure, moment, percent, signed, span } from "../design/format";
import type { IntervalFigures } from "../design/Interval";
import type { Tone } from "../design/Pill";

export type Look = Schemas["MonitorLook"];
export type Alert = Schemas["Alert"];
export type Kind = Look["kind"];

export const KINDS: readonly Kind[] = ["performance", "regret", "drift", "missing", "skew"];

export const QUESTIONS: Record<Kind, string> = {
  performance: "Is it as good as it was?",
  regret: "Would a fresh model be better?",
  drift: "Has the world changed?",
  missing: "Is anything missing?",
  skew: "Do training and serving agree?",
};

export const WORD_TONES: Record<Look["word"], Tone> = {
  safe: "ok",
  "no worse": "ok",
  better: "ok",
  worse: "bad",
  missing: "bad",
  changed: "warn",
  "not enough data yet": "warn",
};

// ── what each kind's figures hold ──────────────────────────────────────────────────────────────────────────────────────────────────

export interface Metric {
  word: Look["word"];
  interval: IntervalFigures | null;
  reference: number | null;
  threshold: number | null;
}

export interface PerformanceFigures {
  unit: string;
  days: number;
  rows: number;
  unlabelled: number;
  rate: number;
  looks: number;
  metrics?: Record<string, Metric>;
  by_day?: { starts: string; rows: number; auc: number | null; log_loss: number }[];
}

export interface Drifted {
  feature: string;
  view: string | null;
  weeks: number;
  log_evidence: number;
  since: string | null;
  impact: number | null;
  moved?: number;
  word: Look["word"];
}

export interface DriftFigures {
  unit: string;
  weeks: number;
  rate: number;
  threshold?: number;
  features: Drifted[];
}

export interface Subject {
  subject: string;
  word: Look["word"];
  why: string;
  rows?: number;
  missing?: number;
  expected?: number | null;
  newest?: string | null;
  age_seconds?: number | null;
  limit_seconds?: number;
  stale?: boolean;
}

export interface MissingFigures {
  rate: number;
  windows: number;
  subjects?: Subject[];
}

export interface SkewFigures {
  rows: number;
  cells: number;
  differing: number;
  largest: number | null;
  tolerance: number;
  features?: { feature: string; view: string; rows: number; differing: number; largest: number | null }[];
}

export interface RegretFigures {
  unit: string;
  blocks: number;
  rows: number;
  mean: IntervalFigures | null;
  on: string;
}

export const SHOWN_METRICS: Record<string, string> = { auc: "AUC", log_loss: "Log loss" };

// ── in words ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

const GOOD: readonly Look["word"][] = ["safe", "no worse", "better"];

/** The kinds that a monitor watches by what is known of them: nothing was found, too little could be seen, or nobody has looked. */
export function lookedAt({
  looks,
  watches,
}: {
  looks: readonly Look[];
  watches: readonly Kind[];
}): Record<"safe" | "few" | "unseen", Kind[]> {
  const by = new Map(looks.map((look) => [look.kind, look.word]));
  const of = (fits: (word: Look["word"] | undefined) => boolean) =>
    KINDS.filter((kind) => (by.has(kind) || watches.includes(kind)) && fits(by.get(kind)));
  return {
    safe: of((word) => word !== undefined && GOOD.includes(word)),
    few: of((word) => word === "not enough data yet"),
    unseen: of((word) => word === undefined),
  };
}

/** What stands open beside what was found: `drift: not enough data yet; missing: not looked yet`. */
export function unjudgedSaid({ few, unseen }: { few: readonly Kind[]; unseen: readonly Kind[] }): string {
  return [few.length && `${few.join(", ")}: not enough data yet`, unseen.length && `${unseen.join(", ")}: not looked yet`]
    .filter(Boolean)
    .join("; ");
}

/** Of which time the word about missing data is, where there are newer looks that could say nothing. */
export function sinceSaid({ endpoint, looks, unjudged }: Pick<Schemas["Monitor"], "endpoint" | "looks" | "unjudged">): string | null {
  const judged = looks.find((look) => look.kind === "missing");
  if (!unjudged || !judged) return null;
  const [nobody, few] = endpoint ? ["nobody has asked", "too few have asked"] : ["no row has come", "too few rows have come"];
  return `as of ${moment(judged.end)}; ${unjudged.rows ? `${few} since to tell` : `${nobody} since`}`;
}

/** A monitor's conclusion: what is amiss first, then what was looked at and what was not. */
export function conclusion({ looks, watches }: { looks: readonly Look[]; watches: readonly Kind[] }): { amiss: boolean; text: string } {
  const by = new Map(looks.map((look) => [look.kind, look]));
  const amiss = KINDS.flatMap((kind) => {
    const look = by.get(kind);
    return look && ["worse", "missing", "changed"].includes(look.word) ? [amissSaid(look)] : [];
  });
  // Only the first begins the sentence; a name keeps its letters.
  if (amiss.length)
    return {
      amiss: true,
      text: `${amiss.map((one, at) => (at ? one.replace(/^(It|A|Training) /, (word) => word.toLowerCase()) : one)).join("; ")}.`,
    };
  if (!looks.length) return { amiss: false, text: "It has not looked yet." };
  const { safe, few, unseen } = lookedAt({ looks, watches });
  if (safe.length && !few.length && !unseen.length)
    return { amiss: false, text: `Nothing is amiss: ${safe.map((kind) => NAMES[kind]).join(", ")}.` };
  if (!safe.length && !unseen.length) return { amiss: false, text: "Not enough data yet." };
  const open = unjudgedSaid({ few, unseen });
  const text = safe.length ? `${safe.join(" and ").replace(/ and (?=.* and )/g, ", ")}: nothing found; ${open}` : open;
  return { amiss: false, text: `${text.charAt(0).toUpperCase()}${text.slice(1)}.` };
}

/** Looks in the order in which they come, those in a row that say the same word of the same version together. */
export function folded(looks: readonly Look[]): Look[][] {
  const found: Look[][] = [];
  for (const look of looks) {
    const last = found.at(-1);
    if (last?.[0] && last[0].kind === look.kind && last[0].word === look.word && last[0].source === look.source) last.push(look);
    else found.push([look]);
  }
  return found;
}

const NAMES: Record<Kind, string> = {
  performance: "performance is safe",
  regret: "a fresh model would not be better",
  drift: "nothing has changed",
  missing: "nothing is missing",
  skew: "training and serving agree",
};

function amissSaid(look: Look): string {
  switch (look.kind) {
    case "performance":
      return "It does worse than on unseen rows";
    case "regret":
      return "A fresh model does better";
    case "drift":
      return `${named((look.figures as unknown as DriftFigures).features.filter((one) => one.word === "changed").map((one) => one.feature))} changed`;
    case "missing": {
      const gone = ((look.figures as unknown as MissingFigures).subjects ?? []).filter((one) => one.word === "missing");
      return `${named(gone.map((one) => one.subject))} ${gone.length > 1 ? "are" : "is"} missing`;
    }
    case "skew":
      return "Training and serving disagree";
  }
}

function named(names: string[], most = 3): string {
  return names.length > most ? `${names.slice(0, most).join(", ")} and ${names.length - most} more` : names.join(", ");
}

/** What an alert is about: `drift of hour`, or the kind alone. */
export function causeOf(alert: Pick<Alert, "kind" | "subject">): string {
  return alert.subject ? `${alert.kind} of ${alert.subject}` : alert.kind;
}

/** What somebody who gets the alert should do, and what happens without him. */
export const ADVICE: Record<Kind, string[]> = {
  performance: [
    "Look whether the labels are right and the data whole: a model is rarely worse alone.",
    "A trigger on this monitor has asked for a retraining if one is declared; a version that passes its gate comes by the endpoint's rollout.",
    "If it is bad now, roll the endpoint back: the earlier version is there.",
  ],
  regret: [
    "Retrain: a fresh model of the same recipe has done better on rows that neither had seen.",
    "A trigger on this monitor has asked for it if one is declared.",
  ],
  drift: [
    "The world changed; that alone is no reason to retrain, and no trigger does. Look at performance: it says whether the change hurts.",
    "If you know why, resolve it with the reason: this change is not told again, another one is.",
  ],
  missing: [
    "Find out why its source has gone silent. Endpoints go on answering on the declared fallback, and their answers say so.",
    "Retraining does not help, and no trigger does it. When rows come again, the alert resolves by itself.",
  ],
  skew: [
    "Compare the view's function with what was pushed: the same rows give other values when recomputed as known then.",
    "It is a bug, or a delay that the view's definition does not model. No retraining helps before it is mended.",
  ],
};

/** How old the newest row is against how old it may be. */
export function ageSaid(subject: Subject): string | null {
  if (subject.limit_seconds === undefined) return null;
  const limit = span(subject.limit_seconds);
  return subject.age_seconds == null ? `no row at all; at most ${limit}` : `${span(subject.age_seconds)} old; at most ${limit}`;
}

export function rateSaid(subject: Subject): string {
  if (!subject.rows) return "no row";
  return `${percent((subject.missing ?? 0) / subject.rows)} of ${count(subject.rows, "row")}`;
}

/** Evidence as the e-value that is held against the threshold: a bet that began with 1. */
export function evidenceSaid(log: number): string {
  const value = Math.exp(Math.min(log, 690));
  return value >= 1e4 ? value.toExponential(1) : figure(value, 2);
}

export function intervalSaid(interval: IntervalFigures, written: (value: number) => string = (value) => value.toFixed(3)): string {
  return `${written(interval.estimate)}, ${Math.round(interval.level * 100)} % ${written(interval.low)} to ${written(interval.high)}`;
}

export const nats = (value: number) => signed(value, 4);

/** The log evidence of each feature by week, oldest first, of looks that come newest first; only those of one version go on from another. */
export function evidenceByWeek(looks: readonly Look[], source: string): Map<string, number[]> {
  const found = new Map<string, number[]>();
  for (const look of [...looks].filter((one) => one.source === source).reverse())
    for (const one of (look.figures as unknown as DriftFigures).features ?? []) {
      const kept = found.get(one.feature) ?? [];
      kept.push(one.log_evidence);
      found.set(one.feature, kept);
    }
  return found;
}
