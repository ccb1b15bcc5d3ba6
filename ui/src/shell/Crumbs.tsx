import { Link } from "@tanstack/react-router";
import { Fragment, type RefObject, useEffect, useRef } from "react";
import { RunName } from "../catalog/links";

const TITLES: Record<string, string> = {
  data: "Data",
  features: "Features",
  "training-sets": "Training sets",
  runs: "Runs",
  models: "Models",
  endpoints: "Endpoints",
  predictions: "Predictions",
  assets: "Assets",
  rollouts: "Rollouts",
  monitors: "Monitors",
  alerts: "Alerts",
  triggers: "Triggers",
  events: "Events",
};
/** Ids stand in the monospaced face: Inter sets an x between digits as a multiplication sign. */
const ID = /^(ro|p|job)_[0-9a-z]+$/;
const WITHOUT_PAGE = new Set(["assets", "predictions", "rollouts"]);

/** The document's title follows the crumbs, the narrowest first; a run's name comes when it is read. */
function useTitle(place: RefObject<HTMLElement | null>, project: string) {
  useEffect(() => {
    const nav = place.current;
    if (!nav) return;
    const say = () => {
      const parts = [...nav.children].filter((one) => !one.hasAttribute("aria-hidden")).map((one) => one.textContent ?? "");
      document.title = [...parts.slice(1).reverse(), project, "Clew"].join(" · ");
    };
    say();
    const watcher = new MutationObserver(say);
    watcher.observe(nav, { childList: true, characterData: true, subtree: true });
    return () => watcher.disconnect();
  }, [place, project]);
}

/** Where this page stands: `flights / Runs / brisk-heron`. */
export function Crumbs({ project, path }: { project: string; path: string }) {
  const rest = path.split("/").slice(3).filter(Boolean).map(decodeURIComponent);
  const parts = rest.length ? rest : ["overview"];
  const place = useRef<HTMLElement>(null);
  useTitle(place, project);
  return (
    <nav ref={place} className="crumbs" aria-label="Where you are">
      <Link to="/projects/$project" params={{ project }} activeOptions={{ exact: true }} className="home">
        {project}
      </Link>
      {parts.map((part, index) => (
        <Fragment key={parts.slice(0, index + 1).join("/")}>
          <span aria-hidden="true">/</span>
          {index === parts.length - 1 ? (
            <span aria-current="page" className={ID.test(part) ? "mono" : undefined}>
              {parts[0] === "runs" && index === 1 ? <RunName runId={part} /> : part === "overview" ? "Overview" : (TITLES[part] ?? part)}
            </span>
          ) : WITHOUT_PAGE.has(part) ? (
            <span>{TITLES[part]}</span>
          ) : (
            <a href={`/projects/${[project, ...rest.slice(0, index + 1)].map(encodeURIComponent).join("/")}`}>{TITLES[part] ?? part}</a>
          )}
        </Fragment>
      ))}
    </nav>
  );
}
