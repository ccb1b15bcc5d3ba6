import { useEffect, useRef } from "react";

/** A box on top of a long menu. Arrows leave it for the items; letters stay in it, as the menu would jump to an item by them. */
export function MenuSearch({ value, change, label }: { value: string; change: (text: string) => void; label: string }) {
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => {
    // The menu takes the focus when it opens; after that it is the box's.
    const timer = setTimeout(() => box.current?.focus(), 0);
    return () => clearTimeout(timer);
  }, []);
  return (
    <input
      ref={box}
      className="field"
      type="search"
      aria-label={label}
      placeholder={label}
      value={value}
      onChange={(event) => change(event.target.value)}
      onKeyDown={(event) => {
        if (!["ArrowDown", "ArrowUp", "Escape", "Tab"].includes(event.key)) event.stopPropagation();
      }}
    />
  );
}
