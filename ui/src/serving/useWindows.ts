import { useQueries } from "@tanstack/react-query";
import { useMemo } from "react";
import { read, type Schemas } from "../api/client";
import { useProject } from "../shell/root";
import { viewKey } from "./missing";

/** Which of the views that had nothing are windows over a dataset, as `view@number`; `undefined` until that is read. */
export function useWindows(answers: readonly Schemas["Answer"][]): ReadonlySet<string> | undefined {
  const project = useProject();
  const views = useMemo(() => {
    const found = new Map<string, { name: string; number: number }>();
    for (const answer of answers)
      for (const name of answer.missing) {
        const number = answer.views[name];
        if (number !== undefined) found.set(viewKey(name, number), { name, number });
      }
    return [...found.values()];
  }, [answers]);
  return useQueries({
    queries: views.map(({ name, number }) => ({
      queryKey: ["view kind", project, name, number],
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        read("/api/v1/projects/{project}/features/{name}/versions/{number}", { project, name, number }, signal),
      staleTime: Number.POSITIVE_INFINITY,
      meta: { fixed: true },
    })),
    combine: (queries) =>
      queries.some((query) => query.isPending)
        ? undefined
        : new Set(
            queries.flatMap(({ data }) => (data?.details.kind === "windows" ? [viewKey(data.version.name, data.version.number)] : [])),
          ),
  });
}
