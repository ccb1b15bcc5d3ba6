import type { Schemas } from "../api/client";
import type { MissingView } from "../serving/missing";
import { condition } from "../serving/words";

export interface Need {
  word: "look" | "decide";
  tone: "bad" | "warn";
  text: string;
  said?: string;
}

interface Seen {
  statuses: Schemas["EndpointStatus"][];
  failedRuns: Schemas["RunRow"][];
  verdicts: Schemas["GateVerdict"][];
  missing: MissingView[];
  datasets: Schemas["DatasetSummary"][];
}

const MUCH_TAIL = 100_000;

/** What a person has to look at or decide, the urgent first. Nothing that will settle by itself. */
export function needs({ statuses, failedRuns, verdicts, missing, datasets }: Seen): Need[] {
  const found: Need[] = [];
  for (const status of statuses) {
    const said = condition(status);
    if (said.tone !== "ok" && (said.tone === "bad" || status.errors))
      found.push({ word: "look", tone: "bad", text: `${status.endpoint.name}: ${said.text}.` });
  }
  for (const { endpoint, route } of statuses)
    if (route?.ungated)
      found.push({
        word: "decide",
        tone: "warn",
        text: `${endpoint.name} answers with ${endpoint.model}@${endpoint.number}, deployed without a gate's word.`,
        said: route.reason,
      });
  for (const { view, times, of } of missing)
    found.push({
      word: "look",
      tone: "warn",
      text:
        times === of
          ? `${view} had nothing for any of the last ${of} answers.`
          : `${view} was missing in ${times} of the last ${of} answers.`,
      said: times === of ? "its source may have gone silent; they were given on its fallback" : "they were given on its fallback",
    });
  for (const verdict of verdicts) {
    if (!verdict.passed)
      found.push({
        word: "decide",
        tone: "warn",
        text: `${verdict.model}@${verdict.number} did not pass ${verdict.gate}: ${verdict.word}.`,
        said: verdict.reason,
      });
  }
  for (const run of failedRuns)
    found.push({
      word: "look",
      tone: "bad",
      text: `The run ${run.name} ${run.status === "lost" ? "was lost" : "failed"}.`,
      said: run.title ?? run.experiment ?? undefined,
    });
  for (const dataset of datasets)
    if (dataset.tail_rows > MUCH_TAIL)
      found.push({
        word: "decide",
        tone: "warn",
        text: `${dataset.name} has ${dataset.tail_rows.toLocaleString("en-US")} appended rows in no version yet.`,
        said: `clew cut ${dataset.name}`,
      });
  return found;
}

/** The page's conclusion in words. */
export function headline(statuses: Schemas["EndpointStatus"][], open: Need[], assets: number, runs: number): string {
  const urgent = open.filter((need) => need.tone === "bad");
  if (!statuses.length) {
    if (!assets && !runs) return "Nothing here yet.";
    if (!assets) return "Runs are tracked; nothing is built or served yet.";
    return urgent.length
      ? `Nothing is served yet; ${urgent[0]?.text.replace(/\.$/, "").replace(/^The/, "the")}.`
      : "Built and tracked; nothing is served yet.";
  }
  const well = statuses.every((status) => condition(status).tone === "ok");
  if (!well) return `Serving needs a look: ${open[0]?.text ?? "see below."}`;
  const rest = open[0];
  return rest ? `Serving well; ${rest.text.charAt(0).toLowerCase()}${rest.text.slice(1)}` : "Serving well.";
}
