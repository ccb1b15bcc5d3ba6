import type { ReactNode } from "react";

interface PanelProps {
  title: ReactNode;
  said?: ReactNode;
  aside?: ReactNode;
  /** Tables and logs reach the edges; everything else stands inside a margin. */
  flush?: boolean;
  children: ReactNode;
}

/** A titled part of a page. The title is a question that what stands below it answers, where it can be one. */
export function Panel({ title, said, aside, flush, children }: PanelProps) {
  return (
    <section className="panel">
      <header>
        <h2>{title}</h2>
        {said && <span className="said">{said}</span>}
        {aside && <span className="aside">{aside}</span>}
      </header>
      <div className={flush ? "scroll" : "inside"}>{children}</div>
    </section>
  );
}

export function Heading({ title, children, actions }: { title: ReactNode; children?: ReactNode; actions?: ReactNode }) {
  return (
    <div className="heading">
      <div>
        <h1>{title}</h1>
        {children && <p>{children}</p>}
      </div>
      {actions && <div className="row">{actions}</div>}
    </div>
  );
}

export function Facts({ rows }: { rows: [string, ReactNode][] }) {
  return (
    <dl className="facts">
      {rows
        .filter(([, value]) => value !== null && value !== undefined && value !== "")
        .map(([name, value]) => (
          <div key={name} style={{ display: "contents" }}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}
