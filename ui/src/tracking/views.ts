/** What of the page's address a view keeps: how runs are shown, not which are selected or folded just now. */
export interface Kept {
  filter?: string;
  order?: string;
  columns?: string[];
  group?: string;
  differs?: boolean;
  axis?: "time";
  smoothing?: number;
}

const NAMES = ["filter", "order", "columns", "group", "differs", "axis", "smoothing"] as const;

export function keptOf(search: object): Kept {
  const given = search as Record<string, unknown>;
  return Object.fromEntries(NAMES.flatMap((name) => (given[name] === undefined ? [] : [[name, given[name]]])));
}

/** A name that can stand in an address, of what a person typed. */
export function slugOf(typed: string): string {
  return typed
    .trim()
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .replace(/[^A-Za-z0-9_.-]+/g, "-")
    .replace(/^[^A-Za-z0-9]+|-+$/g, "")
    .slice(0, 128);
}
