import { useQueries } from "@tanstack/react-query";
import { useMemo } from "react";
import { read } from "../api/client";
import { useRead } from "../api/queries";
import { useProject } from "../shell/root";

const MODELS = 8;

/** Which model version came of a run, by the run's id. */
export function useProduced(): Map<string, { name: string; number: number }> {
  const project = useProject();
  const assets = useRead("/api/v1/projects/{project}/assets", { project, kind: "model", limit: 1000 });
  const models = (assets.data?.items ?? []).filter((asset) => asset.latest).slice(0, MODELS);
  const found = useQueries({
    queries: models.map(({ name }) => ({
      queryKey: ["/api/v1/projects/{project}/assets/{name}/versions", { project, name, limit: 200 }],
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        read("/api/v1/projects/{project}/assets/{name}/versions", { project, name, limit: 200 }, signal),
      staleTime: 2_000,
    })),
    combine: (queries) => queries.flatMap((query) => query.data?.items ?? []),
  });
  return useMemo(
    () => new Map(found.flatMap(({ run_id, name, number }) => (run_id ? [[run_id, { name, number }] as const] : []))),
    [found],
  );
}
