import { useNavigate } from "@tanstack/react-router";
import { useEffect } from "react";
import { PAGES } from "./Layout";

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

const CHORD_MS = 1_200;

/** `Ctrl K` opens the palette, `/` goes to the page's filter, `g` and a letter to a page. */
export function useShortcuts(project: string, find: () => void) {
  const navigate = useNavigate();
  useEffect(() => {
    let began = 0;
    const pressed = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        find();
        return;
      }
      if (isTyping(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "/") {
        const filter = document.querySelector<HTMLInputElement>("[data-filter]");
        if (filter) {
          event.preventDefault();
          filter.focus();
          filter.select();
        }
      } else if (event.key === "?") find();
      else if (event.key === "g") began = Date.now();
      else if (Date.now() - began < CHORD_MS) {
        began = 0;
        const page = PAGES.find((one) => one.key === event.key);
        if (page) void navigate({ to: page.to, params: { project } });
      }
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, [project, navigate, find]);
}
