import { Link, Outlet, useLocation, useNavigate } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { type LiveState, useLive } from "../api/live";
import { useRead } from "../api/queries";
import { useAnnouncement } from "../design/announcements";
import { Crumbs } from "./Crumbs";
import { Mark } from "./Mark";
import { Palette } from "./Palette";
import { projectRoute } from "./root";
import { useShortcuts } from "./shortcuts";
import { ThemeSwitch } from "./ThemeSwitch";
import { Zoned } from "./Zone";
import "./shell.css";

export const PAGES = [
  { to: "/projects/$project", label: "Overview", key: "o" },
  { to: "/projects/$project/data", label: "Data", key: "d", kind: "dataset" },
  { to: "/projects/$project/features", label: "Features", key: "f", kind: "feature_view" },
  { to: "/projects/$project/training-sets", label: "Training sets", key: "t", kind: "training_set" },
  { to: "/projects/$project/runs", label: "Runs", key: "r", kind: "run" },
  { to: "/projects/$project/models", label: "Models", key: "m", kind: "model" },
  { to: "/projects/$project/endpoints", label: "Endpoints", key: "e", kind: "endpoint" },
  { to: "/projects/$project/monitors", label: "Monitors", key: "n", kind: "monitor" },
  { to: "/projects/$project/alerts", label: "Alerts", key: "a", kind: "alert" },
  { to: "/projects/$project/triggers", label: "Triggers", key: "b", kind: "trigger" },
  { to: "/projects/$project/events", label: "Events", key: "v" },
] as const;

export function Layout() {
  const { project } = projectRoute.useParams();
  const live = useLive(project);
  const [open, setOpen] = useState(false);
  const [finding, setFinding] = useState(false);
  const path = useLocation({ select: (location) => location.pathname });
  useShortcuts(project, () => setFinding(true));
  // biome-ignore lint/correctness/useExhaustiveDependencies: another page closes the drawer
  useEffect(() => setOpen(false), [path]);
  return (
    <div className="shell">
      <a className="skip" href="#page">
        Skip to the page
      </a>
      <Sidebar project={project} open={open} />
      <div style={{ minWidth: 0 }}>
        <header className="top">
          <button type="button" className="button burger" aria-label="Menu" aria-expanded={open} onClick={() => setOpen(!open)}>
            ☰
          </button>
          <Crumbs project={project} path={path} />
          <button type="button" className="button finder" onClick={() => setFinding(true)} aria-label="Find anything or run a command">
            <span>Find anything or run a command</span>
            <kbd>Ctrl K</kbd>
          </button>
          <LiveMark state={live} />
        </header>
        <main id="page" className="page" tabIndex={-1}>
          <Zoned project={project}>
            <Outlet />
          </Zoned>
        </main>
      </div>
      <Palette project={project} open={finding} onOpenChange={setFinding} />
      <Announcement />
    </div>
  );
}

function Sidebar({ project, open }: { project: string; open: boolean }) {
  const assets = useRead("/api/v1/projects/{project}/assets", { project, limit: 1000 });
  const counts = new Map<string, number>();
  for (const asset of assets.data?.items ?? []) counts.set(asset.kind, (counts.get(asset.kind) ?? 0) + 1);
  const experiments = useRead("/api/v1/projects/{project}/experiments", { project });
  const endpoints = useRead("/api/v1/projects/{project}/endpoints", { project });
  const monitors = useRead("/api/v1/projects/{project}/monitors", { project });
  const triggers = useRead("/api/v1/projects/{project}/triggers", { project });
  if (triggers.data) counts.set("trigger", triggers.data.items.length);
  const alerts = monitors.data?.items.reduce((sum, one) => sum + one.alerts, 0) ?? 0;
  if (monitors.data) counts.set("monitor", monitors.data.items.length);
  if (alerts) counts.set("alert", alerts);
  if (experiments.data)
    counts.set(
      "run",
      experiments.data.reduce((sum, one) => sum + one.runs, 0),
    );
  if (endpoints.data) counts.set("endpoint", endpoints.data.items.length);
  return (
    <aside className="side" data-open={open}>
      <Link to="/projects/$project" params={{ project }} className="brand">
        <Mark />
        Clew
      </Link>
      <ProjectPicker project={project} />
      <nav aria-label="Pages">
        {PAGES.map((page) => (
          <Link
            key={page.to}
            to={page.to}
            params={{ project }}
            activeOptions={{ exact: page.to === "/projects/$project" }}
            title={`g then ${page.key}`}
          >
            {page.label}
            {"kind" in page && (
              <span className="count">
                {page.kind === "alert" && alerts > 0 && <span className="dot bad" />} {counts.get(page.kind)?.toLocaleString("en-US") ?? ""}
              </span>
            )}
          </Link>
        ))}
      </nav>
      <div className="foot">
        <a href="/api/v1/openapi.json">API</a>
        <ThemeSwitch />
      </div>
    </aside>
  );
}

function ProjectPicker({ project }: { project: string }) {
  const projects = useRead("/api/v1/projects", {});
  const navigate = useNavigate();
  const slugs = new Set([project, ...(projects.data?.items ?? []).map((one) => one.slug)]);
  return (
    <select
      className="field"
      aria-label="Project"
      value={project}
      onChange={(event) => void navigate({ to: "/projects/$project", params: { project: event.target.value } })}
    >
      {[...slugs].sort().map((slug) => (
        <option key={slug}>{slug}</option>
      ))}
    </select>
  );
}

/** What a change has done. The place is always there, so that a screen reader hears what comes into it. */
function Announcement() {
  const said = useAnnouncement();
  return (
    <div className="announcement" role="status" data-shown={!!said}>
      {said}
    </div>
  );
}

const WORDS: Record<LiveState, [string, string, string]> = {
  connecting: ["", "connecting", "Waiting for the server's events"],
  live: ["ok", "live", "What happens in the project appears here by itself"],
  refused: ["", "not followed", "The server gives no events of this project"],
  away: ["bad", "server away", "The server does not answer; this page tries again by itself"],
};

function LiveMark({ state }: { state: LiveState }) {
  const [tone, word, why] = WORDS[state];
  return (
    <span className="live" title={why} role="status">
      <span className={`dot ${tone}`} />
      <span className="word">{word}</span>
    </span>
  );
}
