import type { UseQueryResult } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { kindOf, mayPass } from "./trouble";

/** A command to copy. */
export function Command({ children }: { children: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(children).catch(() => undefined); // refused on plain http from afar; the text can still be selected
    setCopied(true);
    setTimeout(() => setCopied(false), 1_500);
  };
  return (
    <span className="command">
      <code>{children}</code>
      <button type="button" onClick={copy} aria-label={`copy ${children}`}>
        {copied ? "copied" : "copy"}
      </button>
    </span>
  );
}

/** What a page says while there is nothing: why, and the command that fills it. */
export function Empty({ title, command, children }: { title: string; command?: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <strong>{title}</strong>
      {children && <span>{children}</span>}
      {command && <Command>{command}</Command>}
    </div>
  );
}

export function Waiting({ for: what }: { for: string }) {
  return (
    <p className="waiting" role="status">
      Reading {what}…
    </p>
  );
}

/** An error in the server's words, after what kind it is. Only what may pass by itself can be tried again. */
export function Trouble({ error, retry }: { error: Error; retry?: () => void }) {
  return (
    <div className="trouble" role="alert">
      <strong>{kindOf(error)}</strong> {error.message}{" "}
      {retry && mayPass(error) && (
        <button type="button" className="button quiet" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** A query's three states in words; `children` gets what was read. Old data stay on screen while new ones are fetched. */
export function Ready<T>({ query, what, children }: { query: UseQueryResult<T, Error>; what: string; children: (value: T) => ReactNode }) {
  if (query.data !== undefined) return <>{children(query.data)}</>;
  if (query.error) return <Trouble error={query.error} retry={() => void query.refetch()} />;
  return <Waiting for={what} />;
}
