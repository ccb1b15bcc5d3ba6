import type { Schemas } from "../api/client";

type Answer = Schemas["Answer"];

export interface MissingView {
  view: string;
  times: number;
  of: number;
}

export const viewKey = (view: string, number: number) => `${view}@${number}`;

/** A window over a quiet airport is empty, and that is its answer. Only when it is empty for everybody has its source gone silent. */
const ENOUGH = 20;

/**
 * The views that were missing in answers. `windows` names those that are windows over a dataset, as `view@number`:
 * the server says for each answer which views had nothing, and for a window having nothing is usual.
 */
export function missingViews(answers: readonly Answer[], windows: ReadonlySet<string>): MissingView[] {
  const seen = new Map<string, MissingView & { window: boolean }>();
  for (const answer of answers) {
    const missing = new Set(answer.missing);
    for (const [view, number] of Object.entries(answer.views)) {
      const found = seen.get(view) ?? { view, times: 0, of: 0, window: windows.has(viewKey(view, number)) };
      found.of += 1;
      if (missing.has(view)) found.times += 1;
      seen.set(view, found);
    }
  }
  return [...seen.values()]
    .filter(({ times, of, window }) => (window ? of >= ENOUGH && times === of : times > 0))
    .map(({ view, times, of }) => ({ view, times, of }));
}
