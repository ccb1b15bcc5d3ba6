import { useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";

const KEY = "clew.theme";
const listeners = new Set<() => void>();
const dark = matchMedia("(prefers-color-scheme: dark)");
dark.addEventListener("change", announce);

function announce() {
  for (const listener of listeners) listener();
}

export function chosenTheme(): Theme {
  const kept = localStorage.getItem(KEY);
  return kept === "light" || kept === "dark" ? kept : "system";
}

export function chooseTheme(theme: Theme) {
  localStorage.setItem(KEY, theme);
  document.documentElement.dataset.theme = theme;
  announce();
}

document.documentElement.dataset.theme = chosenTheme();

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useTheme(): Theme {
  return useSyncExternalStore(subscribe, chosenTheme);
}

/** Light or dark as it stands on screen: what a canvas must draw again for. */
export function useShade(): "light" | "dark" {
  return useSyncExternalStore(subscribe, () => {
    const theme = chosenTheme();
    return theme === "system" ? (dark.matches ? "dark" : "light") : theme;
  });
}

/** A token's colour as a canvas takes it; `light-dark()` is resolved by a probe, as custom properties keep it unresolved. */
export function colour(token: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(--${token})`;
  document.body.append(probe);
  const resolved = getComputedStyle(probe).color;
  probe.remove();
  return resolved;
}

export const SERIES = ["series-1", "series-2", "series-3", "series-4", "series-5", "series-6", "series-7"];

export function seriesToken(index: number): string {
  return SERIES[index % SERIES.length] as string;
}
