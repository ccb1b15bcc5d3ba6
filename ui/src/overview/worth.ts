import type { Schemas } from "../api/client";

type Block = Schemas["BlockPerformance"];

const WINDOW = 7;
/** A mean of fewer days jumps with each of them. */
const ENOUGH = 4;

/** The mean of each matured day's AUC with those of the six days before it: what a curve over months can show of days. */
export function weekly(blocks: readonly Block[], value: (block: Block) => number | null = (block) => block.auc): (number | null)[] {
  return blocks.map((_, at) => {
    const known = blocks.slice(Math.max(0, at - WINDOW + 1), at + 1).flatMap((block) => (block.matured ? (value(block) ?? []) : []));
    return known.length >= ENOUGH ? known.reduce((sum, one) => sum + one, 0) / known.length : null;
  });
}
