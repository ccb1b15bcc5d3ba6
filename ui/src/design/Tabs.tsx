import { Link } from "@tanstack/react-router";

export interface Tab {
  key: string;
  label: string;
  count?: number | null;
}

/** Tabs as links: which one is open stands in the address. */
export function Tabs({ tabs, current }: { tabs: Tab[]; current: string }) {
  return (
    <nav className="tabs" aria-label="Parts of this page">
      {tabs.map((tab) => (
        <Link
          key={tab.key}
          to="."
          search={(before: Record<string, unknown>) => ({ ...before, tab: tab.key })}
          replace
          aria-current={tab.key === current ? "page" : undefined}
        >
          {tab.label}
          {tab.count !== undefined && tab.count !== null && <span className="count">{tab.count.toLocaleString("en-US")}</span>}
        </Link>
      ))}
    </nav>
  );
}
