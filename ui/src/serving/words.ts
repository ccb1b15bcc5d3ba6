import type { Schemas } from "../api/client";
import { count } from "../design/format";

type Status = Schemas["EndpointStatus"];

export interface Said {
  tone: "ok" | "warn" | "bad";
  text: string;
}

/** Requests that failed, and those whose error was the sender's. */
export function troubles({ errors, refused }: Pick<Status, "errors" | "refused">): { failed: number; refused: number } {
  return { failed: errors - refused, refused };
}

/** What did not get an answer, after the number of requests: `, 1 failed, 3 refused`. */
export function troublesSaid(status: Pick<Status, "errors" | "refused">): string {
  const { failed, refused } = troubles(status);
  return `${failed ? `, ${failed.toLocaleString("en-US")} failed` : ""}${refused ? `, ${refused.toLocaleString("en-US")} refused` : ""}`;
}

/** Which fields of requests nobody takes, and how many requests have each; empty where there are none. */
export function ignoredSaid({ ignored }: Pick<Status, "ignored">): string {
  const fields = Object.entries(ignored).sort(([a], [b]) => a.localeCompare(b));
  if (!fields.length) return "";
  return `Requests have fields that nobody takes, and they are left out: ${fields.map(([name, requests]) => `${name} (${requests.toLocaleString("en-US")})`).join(", ")}`;
}

/** How an endpoint is, in one sentence: what needs a person comes first. */
export function condition(status: Status): Said {
  const alive = status.processes.filter((process) => process.alive);
  const failed = alive.find((process) => process.state === "failed");
  if (!alive.length) return { tone: "bad", text: "no serving process answers; `clew up` or `clew serve` starts one" };
  if (failed) return { tone: "bad", text: `its route could not be loaded: ${failed.message}` };
  if (!status.flipped)
    return {
      tone: "warn",
      text: `${count(alive.length, "process", "processes")} loading the new route, answering with the old one until then`,
    };
  const { failed: broken, refused } = troubles(status);
  // What was refused is the sender's to mend, and no failure of the endpoint.
  const sender = refused ? `; ${refused.toLocaleString("en-US")} refused` : "";
  const of = `of ${status.requests.toLocaleString("en-US")} in the last hour`;
  if (broken) return { tone: "warn", text: `${count(broken, "failed request")} ${of}${sender}` };
  if (!status.requests) return { tone: "ok", text: "ready; no request in the last hour" };
  return { tone: "ok", text: `no failed request ${of}${sender}` };
}

/** Where a rollback would lead: what stood before the last deploy that still stands. `routes` come newest first, back to the first. */
export function rollbackTarget(routes: readonly Schemas["Route"][]): Schemas["Route"] | undefined {
  const standing: Schemas["Route"][] = [];
  for (const route of [...routes].reverse()) {
    // A candidate that is let in or closed changes nothing about who answers.
    if (route.cause === "deploy") standing.push(route);
    else if (route.cause === "rollback") standing.pop();
  }
  return standing.at(-2);
}

/** A request's row as a person reads it: values of the key first, without names. */
export function asked(row: Record<string, unknown>, limit = 7): string {
  return Object.values(row)
    .filter((value) => value !== null && value !== undefined)
    .slice(0, limit)
    .map((value) => (typeof value === "string" ? value.replace(/T(\d\d:\d\d).*$/, " $1") : String(value)))
    .join(" · ");
}

/** A command that asks the endpoint: with a row that was asked before, else with its fields to fill in. */
export function curlOf(
  url: string,
  endpoint: string,
  row: Record<string, unknown> | undefined,
  fields: readonly { name: string; required: boolean }[],
): string {
  const asks = row ?? Object.fromEntries(fields.map((field) => [field.name, "…"]));
  const body = JSON.stringify({ rows: [asks] }).replaceAll("'", "'\\''");
  return `curl ${url}/endpoints/${endpoint}/predict -H 'content-type: application/json' -d '${body}'`;
}
