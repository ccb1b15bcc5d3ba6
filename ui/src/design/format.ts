/** Numbers, times and sizes as the screen writes them: a real minus sign, thin groups, few digits. */

const MINUS = "−";

export function figure(value: number | null | undefined, digits = 4): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : `${MINUS}∞`;
  const size = Math.abs(value);
  const text =
    Number.isInteger(value) && size < 1e15
      ? size.toLocaleString("en-US")
      : size !== 0 && (size < 1e-4 || size >= 1e7)
        ? size.toExponential(2)
        : size >= 1000
          ? size.toLocaleString("en-US", { maximumFractionDigits: 1 })
          : size.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : digits);
  return value < 0 ? MINUS + text : text;
}

export function signed(value: number, digits = 3): string {
  const text = Math.abs(value).toFixed(digits);
  return Number(text) === 0 ? text : `${value < 0 ? MINUS : "+"}${text}`;
}

export function count(value: number, noun: string, plural = `${noun}s`): string {
  return `${value.toLocaleString("en-US")} ${value === 1 ? noun : plural}`;
}

export function percent(share: number): string {
  // A share that is not zero is never written as zero.
  if (share > 0 && share < 0.01) return `${Number((share * 100).toPrecision(2))} %`;
  return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0).replace(/\.0$/, "")} %`;
}

export function bytes(size: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  let left = size;
  while (left >= 1000 && step < units.length - 1) {
    left /= 1000;
    step += 1;
  }
  return `${step === 0 ? left : left.toFixed(left < 10 ? 1 : 0)} ${units[step]}`;
}

export function microseconds(value: number): string {
  if (value < 1_000) return `${Math.round(value)} µs`;
  return value < 1_000_000 ? `${(value / 1_000).toFixed(1)} ms` : `${(value / 1_000_000).toFixed(1)} s`;
}

/** `0:41`, `2:03:10`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const pad = (part: number) => String(part).padStart(2, "0");
  return hours ? `${hours}:${pad(minutes)}:${pad(rest)}` : `${minutes}:${pad(rest)}`;
}

export function seconds(from: string, to: string | null | undefined, now = Date.now()): number {
  return ((to ? Date.parse(to) : now) - Date.parse(from)) / 1000;
}

let zone = "UTC";
let present: string | null = null;

/** The zone in which the page tells time, that of the project's training sets and data; and its event time where a replay moves it. */
export function tellTimeIn(name: string, eventTime: string | null = null) {
  present = eventTime;
  try {
    new Intl.DateTimeFormat("en-GB", { timeZone: name });
    zone = name;
  } catch {
    zone = "UTC"; // a zone that this browser doesn't know
  }
}

export function zoneOfPage(): string {
  return zone;
}

const kept = new Map<string, Intl.DateTimeFormat>();

/** The parts of an instant by the clock of a zone. */
export function partsOf(at: Date, of = zone): Record<"day" | "month" | "year" | "hour" | "minute" | "second" | "zone", string> {
  let format = kept.get(of);
  if (!format) {
    // American English has the short names of American zones, and GMT+2 for others.
    format = new Intl.DateTimeFormat("en-US", {
      timeZone: of,
      hourCycle: "h23",
      year: "numeric",
      month: "short",
      day: "numeric",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      timeZoneName: "short",
    });
    kept.set(of, format);
  }
  const found = Object.fromEntries(format.formatToParts(at).map((part) => [part.type, part.value]));
  return {
    day: found.day ?? "",
    month: found.month ?? "",
    year: found.year ?? "",
    hour: found.hour ?? "",
    minute: found.minute ?? "",
    second: found.second ?? "",
    zone: found.timeZoneName ?? "",
  };
}

/** `8 Dec 04:10 EST`, with the year when it is not this one: the year of event time, where a replay is shown. */
export function moment(iso: string | null | undefined, of = zone, now = present ? new Date(present) : new Date()): string {
  if (!iso) return "–";
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return iso;
  const parts = partsOf(at, of);
  const year = parts.year === partsOf(now, of).year ? "" : ` ${parts.year}`;
  return `${parts.day} ${parts.month}${year} ${parts.hour}:${parts.minute} ${parts.zone}`;
}

/** `8 Dec 2013`: a day by the page's clock. */
export function day(iso: string, of = zone): string {
  const parts = partsOf(new Date(iso), of);
  return `${parts.day} ${parts.month} ${parts.year}`;
}

export function clock(iso: string): string {
  const parts = partsOf(new Date(iso));
  return `${parts.hour}:${parts.minute}:${parts.second}`;
}

/** `3 days`, `5 hours`: a span in its largest whole unit. */
export function span(lasting: number): string {
  for (const [size, noun] of SPANS) if (lasting >= size) return count(Math.floor(lasting / size), noun);
  return count(Math.max(0, Math.round(lasting)), "second");
}

const SPANS: [number, string][] = [
  [86_400, "day"],
  [3_600, "hour"],
  [60, "minute"],
];

const DURATIONS: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 };

/** A declared duration such as `7d` in seconds. */
export function declaredSeconds(duration: string): number {
  const found = /^(\d+)([smhdw])$/.exec(duration);
  return found ? Number(found[1]) * (DURATIONS[found[2] as string] as number) : 0;
}

/** A declared duration such as `7d` in words: `7 days`. */
export function declaredSpan(duration: string): string {
  const lasting = declaredSeconds(duration);
  return lasting ? span(lasting) : duration;
}

/** `3 minutes ago`, for headings; tables use `moment`. */
export function ago(iso: string, now = Date.now()): string {
  const past = (now - Date.parse(iso)) / 1000;
  return past >= 60 ? `${span(past)} ago` : "just now";
}

export function shortDigest(digest: string | null | undefined): string {
  return digest ? digest.replace(/^\w+:/, "").slice(0, 8) : "–";
}

/** Any JSON value on one line. */
export function plain(value: unknown): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return figure(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return value;
  return JSON.stringify(value);
}

/** Two days and more are not told in hours. */
function daysOld(hours: number): string | null {
  return hours > 48 ? `${(hours / 24).toFixed(1).replace(/\.0$/, "")} days old` : null;
}

/** The server's words as the page writes them: a space before %, long ages in days, and times by the page's clock. */
export function retold(text: string): string {
  return text
    .replace(/(\d)%/g, "$1 %")
    .replace(/([\d,]+(?:\.\d+)?) hours old\b/g, (said, hours: string) => daysOld(Number(hours.replaceAll(",", ""))) ?? said)
    .replace(/\b(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d) UTC\b/g, (_, date: string, at: string) => moment(`${date}T${at}:00Z`));
}
