import type { Schemas } from "../api/client";

type Answer = Schemas["Answer"];

/** What one version did in some answers: those that it gave, those that it only scored, and how quickly. */
export interface Side {
  number: number;
  answered: number;
  scored: number;
  errors: number;
  p50_us: number | null;
  p95_us: number | null;
  /** The mean of what it said, answered or not. */
  mean: number | null;
}

interface Said {
  latency_us: number;
  error: string | null;
  probability: number | null;
}

/** What a version said of an answer's row, be it the one that answered or the other. */
export function saidOf(answer: Answer, number: number): Said | null {
  if (answer.number === number) return answer;
  return answer.other?.number === number ? answer.other : null;
}

export function quantile(values: readonly number[], share: number): number | null {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? null;
}

export function sideOf(answers: readonly Answer[], number: number): Side {
  const said = answers.flatMap((answer) => saidOf(answer, number) ?? []);
  const whole = said.filter((one) => one.error === null);
  const latencies = whole.map((one) => one.latency_us);
  const scores = whole.flatMap((one) => one.probability ?? []);
  return {
    number,
    answered: answers.filter((answer) => answer.number === number).length,
    scored: whole.length,
    errors: said.length - whole.length,
    p50_us: quantile(latencies, 0.5),
    p95_us: quantile(latencies, 0.95),
    mean: scores.length ? scores.reduce((sum, score) => sum + score, 0) / scores.length : null,
  };
}

export interface Pace {
  at: number[];
  champion: (number | null)[];
  candidate: (number | null)[];
}

/** The 95th percentile of both versions in parts of equally many answers, oldest first. */
export function paceOf(answers: readonly Answer[], champion: number, candidate: number, parts = 24): Pace {
  const ordered = [...answers].sort((a, b) => whenOf(a) - whenOf(b));
  const size = Math.max(5, Math.ceil(ordered.length / parts));
  const pace: Pace = { at: [], champion: [], candidate: [] };
  for (let from = 0; from < ordered.length; from += size) {
    const part = ordered.slice(from, from + size);
    const at = whenOf(part[part.length - 1] as Answer) / 1000;
    if (pace.at.length && at <= (pace.at.at(-1) as number)) continue; // an axis goes on; answers of one instant are one part
    pace.at.push(at);
    for (const [name, number] of [
      ["champion", champion],
      ["candidate", candidate],
    ] as const) {
      const latencies = part.flatMap((answer) => {
        const said = saidOf(answer, number);
        return said && said.error === null ? said.latency_us : [];
      });
      pace[name].push(quantile(latencies, 0.95));
    }
  }
  return pace;
}

function whenOf(answer: Answer): number {
  return Date.parse(answer.event_time ?? answer.at);
}
