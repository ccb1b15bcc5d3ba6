import { useSyncExternalStore } from "react";

const SHOWN_MS = 8_000;
let said: string | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;
const listeners = new Set<() => void>();

function say(text: string | null) {
  said = text;
  for (const listener of listeners) listener();
}

/** Say what a change has done, for a while. */
export function announce(text: string) {
  clearTimeout(timer);
  say(text);
  timer = setTimeout(() => say(null), SHOWN_MS);
}

export function useAnnouncement(): string | null {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => said,
  );
}
