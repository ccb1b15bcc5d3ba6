import type { Schemas } from "../api/client";

type Version = Schemas["AssetVersion"];
type GateVerdict = Schemas["GateVerdict"];

/** What the gate looked at: a refit was not judged itself, the version that it is the refit of was. */
export function judgedOf(version: Version): { name: string; number: number } {
  const { refit_of } = version.details as { refit_of?: { name: string; number: number } | null };
  return refit_of ?? { name: version.name, number: version.number };
}

/** The newest verdict of each gate, of verdicts that come newest first. */
export function standing(verdicts: readonly GateVerdict[]): GateVerdict[] {
  const newest = new Map<string, GateVerdict>();
  for (const verdict of verdicts) if (!newest.has(verdict.gate)) newest.set(verdict.gate, verdict);
  return [...newest.values()];
}

/** Whether some gate has spoken, and none against it. What is deployed is the server's to decide. */
export function passedAll(verdicts: readonly GateVerdict[]): boolean {
  return verdicts.length > 0 && standing(verdicts).every((verdict) => verdict.passed);
}
