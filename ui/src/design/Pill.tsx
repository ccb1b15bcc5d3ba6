import type { ReactNode } from "react";

export type Tone = "ok" | "warn" | "bad" | "info" | "quiet";

export function Pill({ tone = "quiet", children }: { tone?: Tone; children: ReactNode }) {
  return <span className={`pill ${tone}`}>{children}</span>;
}

export function AliasPill({ children }: { children: ReactNode }) {
  return <span className="pill alias">{children}</span>;
}

const RUN_TONES: Record<string, Tone> = { running: "info", failed: "bad", lost: "warn", killed: "warn", pruned: "quiet" };

/** A finished run needs no colour; only what differs from it gets some. */
export function RunStatus({ status }: { status: string }) {
  return status === "finished" ? <span className="second">finished</span> : <Pill tone={RUN_TONES[status] ?? "quiet"}>{status}</Pill>;
}

const VERDICT_TONES: Record<string, Tone> = {
  passed: "ok",
  "no worse": "ok",
  better: "ok",
  safe: "ok",
  "not enough data yet": "warn",
  changed: "warn",
  missing: "bad",
  worse: "bad",
  failed: "bad",
};

export function VerdictPill({ word, passed }: { word: string; passed: boolean }) {
  return <Pill tone={VERDICT_TONES[word] ?? (passed ? "ok" : "bad")}>{word}</Pill>;
}
