import type { Schemas } from "../api/client";
import { useRead } from "../api/queries";
import { useProject } from "../shell/root";
import { judgedOf } from "./judged";

/** Verdicts about a version, newest first. */
export function useVerdicts(version: Schemas["AssetVersion"] | undefined) {
  const project = useProject();
  const judged = version ? judgedOf(version) : null;
  return useRead(
    "/api/v1/projects/{project}/assets/{model}/versions/{number}/verdicts",
    { project, model: judged?.name ?? "", number: judged?.number ?? 0 },
    { enabled: !!judged },
  );
}
