import { useEffect, useRef } from "react";
import { functionIn } from "./code";

/** Source as text; a function that is pointed at stands out, and is where the text opens. */
export function SourceText({ text, at, only }: { text: string; at: string | undefined; only?: boolean }) {
  const place = useRef<HTMLElement>(null);
  const found = at ? functionIn(text, at) : null;
  // biome-ignore lint/correctness/useExhaustiveDependencies: another text or function scrolls anew
  useEffect(() => {
    const mark = place.current;
    const box = mark?.parentElement;
    if (mark && box) box.scrollTop = mark.offsetTop - box.offsetTop - 8;
  }, [text, at]);
  if (!found) return <pre className="text">{text}</pre>;
  const lines = text.split("\n");
  const own = lines.slice(found.from, found.to + 1).join("\n");
  if (only) return <pre className="text">{own}</pre>;
  return (
    <pre className="text" data-testid="source">
      {`${lines.slice(0, found.from).join("\n")}\n`}
      <mark ref={place}>{own}</mark>
      {`\n${lines.slice(found.to + 1).join("\n")}`}
    </pre>
  );
}
