import { useRef } from "react";

/** How long what a change replaces on the page may take to come: until then a focus that would be lost is kept. */
const SETTLED_MS = 10_000;

/** For dialogs that no trigger of their own opened: the focus goes back to where it was, or beside it once that is gone. */
export function useFocusReturn() {
  const before = useRef<HTMLElement | null>(null);
  return {
    onOpenAutoFocus: () => {
      before.current = document.activeElement instanceof HTMLElement ? document.activeElement : null;
    },
    onCloseAutoFocus: (event: Event) => {
      event.preventDefault();
      if (before.current) giveBack(before.current);
    },
  };
}

/** A change often takes its own button away (Pause becomes Resume), and the browser would leave the keyboard at the page's top. */
function giveBack(opener: HTMLElement): void {
  const group = opener.parentElement;
  const place = group ? buttonsOf(group).indexOf(opener as HTMLButtonElement) : -1;
  if (!opener.isConnected) {
    beside(group, place);
    return;
  }
  opener.focus();
  const watch = new MutationObserver(() => {
    const lost = document.activeElement === document.body;
    if (!opener.isConnected && lost) beside(group, place);
    if (!opener.isConnected || (!lost && document.activeElement !== opener)) watch.disconnect();
  });
  watch.observe(document.body, { childList: true, subtree: true });
  setTimeout(() => watch.disconnect(), SETTLED_MS);
}

function beside(group: HTMLElement | null, place: number): void {
  const left = group?.isConnected ? buttonsOf(group).filter((button) => !button.disabled) : [];
  (left[Math.min(Math.max(place, 0), left.length - 1)] ?? document.getElementById("page"))?.focus();
}

function buttonsOf(group: HTMLElement): HTMLButtonElement[] {
  return [...group.querySelectorAll("button")];
}
