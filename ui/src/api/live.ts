import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";

export type LiveState = "connecting" | "live" | "away";

const QUIET_MS = 700;

/** Follow the project's live events: whatever is on screen and may have changed is fetched again, at most once per QUIET_MS. */
export function useLive(project: string): LiveState {
  const client = useQueryClient();
  const [state, setState] = useState<LiveState>("connecting");
  useEffect(() => {
    const source = new EventSource(`/api/v1/projects/${encodeURIComponent(project)}/live`);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const refresh = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        void client.invalidateQueries({ predicate: (query) => query.meta?.fixed !== true });
      }, QUIET_MS);
    };
    source.addEventListener("hello", () => setState("live"));
    source.addEventListener("event", refresh);
    source.addEventListener("changed", refresh);
    source.onopen = () => {
      setState("live");
      refresh();
    };
    source.onerror = () => setState("away");
    return () => {
      clearTimeout(timer);
      source.close();
    };
  }, [project, client]);
  return state;
}
