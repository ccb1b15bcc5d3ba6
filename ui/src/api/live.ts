import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { paced } from "./pace";

export type LiveState = "connecting" | "live" | "away" | "refused";

/** Follow the project's live events: whatever is on screen and may have changed is fetched again, at the pace of `paced`. */
export function useLive(project: string): LiveState {
  const client = useQueryClient();
  const [state, setState] = useState<LiveState>("connecting");
  useEffect(() => {
    const source = new EventSource(`/api/v1/projects/${encodeURIComponent(project)}/live`);
    const pace = paced(() => client.invalidateQueries({ predicate: (query) => query.meta?.fixed !== true }));
    let missed = false;
    // Nobody looks at a hidden page: it is read again when somebody does.
    const refresh = () => {
      if (document.hidden) missed = true;
      else pace.changed();
    };
    const seen = () => {
      if (!document.hidden && missed) {
        missed = false;
        pace.changed();
      }
    };
    document.addEventListener("visibilitychange", seen);
    source.addEventListener("hello", () => setState("live"));
    source.addEventListener("event", refresh);
    source.addEventListener("changed", refresh);
    source.onopen = () => {
      setState("live");
      refresh();
    };
    // A stream that was refused is closed by the browser and not tried again: the server is there, and knows no such project.
    source.onerror = () => setState(source.readyState === EventSource.CLOSED ? "refused" : "away");
    return () => {
      document.removeEventListener("visibilitychange", seen);
      pace.stop();
      source.close();
    };
  }, [project, client]);
  return state;
}
