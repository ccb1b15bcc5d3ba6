import { useEffect, useState } from "react";
import { useRead } from "../api/queries";
import { useProject } from "./root";

const TICK_MS = 30_000;

/** The project's event time, in milliseconds: the wall clock's, but where a replay moves it. */
export function useNow(): number {
  const project = useProject();
  const { data } = useRead("/api/v1/projects/{project}", { project });
  const [wall, setWall] = useState(Date.now);
  const replayed = data?.event_time;
  useEffect(() => {
    if (replayed) return;
    const timer = setInterval(() => setWall(Date.now()), TICK_MS);
    return () => clearInterval(timer);
  }, [replayed]);
  return replayed ? Date.parse(replayed) : wall;
}
