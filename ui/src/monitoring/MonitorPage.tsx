import { createRoute } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { Schemas } from "../api/client";
import { useRead } from "../api/queries";
import { AssetLink, EndpointLink } from "../catalog/links";
import { count, percent, retold } from "../design/format";
import { Heading, Panel } from "../design/Panel";
import { Pill } from "../design/Pill";
import { Command, Empty, Ready } from "../design/States";
import { projectRoute, useProject } from "../shell/root";
import { AlertsTable } from "./AlertsPage";
import { DriftTable } from "./DriftTable";
import { LooksTable } from "./LooksTable";
import { conclusion, type DriftFigures, type Kind, type Look, type MissingFigures, QUESTIONS, sinceSaid, WORD_TONES } from "./looks";
import { MissingTable } from "./MissingTable";
import { PerformanceLooks } from "./PerformanceLooks";
import { SkewTable } from "./SkewTable";
import "./monitoring.css";

export const monitorRoute = createRoute({ getParentRoute: () => projectRoute, path: "monitors/$name", component: MonitorPage });

interface Declared {
  window?: string;
  rate?: number;
  looks?: number;
}

/** One monitor: a word for each thing that it watches, and the looks behind it. */
function MonitorPage() {
  const project = useProject();
  const { name } = monitorRoute.useParams();
  const monitors = useRead("/api/v1/projects/{project}/monitors", { project });
  return (
    <Ready query={monitors} what="the monitor">
      {({ items }) => {
        const found = items.find((one) => one.name === name);
        return found ? (
          <Shown monitor={found} />
        ) : (
          <Empty title={`No monitor is named ${name}`} command="clew apply">
            {items.length ? `There are ${items.map((one) => one.name).join(", ")}.` : "None is declared."} Declare one with{" "}
            <code>clew.monitor(…)</code>.
          </Empty>
        );
      }}
    </Ready>
  );
}

function Shown({ monitor }: { monitor: Schemas["Monitor"] }) {
  const project = useProject();
  const alerts = useRead("/api/v1/projects/{project}/alerts", { project, monitor: monitor.name });
  const definitions = useRead("/api/v1/projects/{project}/definitions", { project, kind: "monitor" });
  const declared = (definitions.data?.items.find((one) => one.name === monitor.name)?.document ?? {}) as Declared;
  const newest = new Map(monitor.looks.map((look) => [look.kind, look]));
  return (
    <>
      <Heading title={conclusion(monitor).text}>
        <b>{monitor.name}</b> watches{" "}
        {monitor.endpoint ? (
          <>
            the endpoint <EndpointLink name={monitor.endpoint} />
          </>
        ) : (
          <>
            the dataset <AssetLink name={monitor.dataset ?? ""} />
          </>
        )}
        {declared.window && `, in windows of ${declared.window}`}
        {declared.rate !== undefined &&
          `; each kind alarms falsely in ${percent(declared.rate)} of runs of ${declared.looks} looks, under exchangeable days`}
        .
      </Heading>
      <div className="words">
        {monitor.watches.map((kind) => {
          const look = newest.get(kind);
          return (
            <a key={kind} href={`#${kind}`} className="plain row">
              <span className="second">{kind}</span>{" "}
              {look ? <Pill tone={WORD_TONES[look.word]}>{look.word}</Pill> : <span className="third">not looked yet</span>}
            </a>
          );
        })}
      </div>
      {!!alerts.data?.items.length && (
        <Panel title="What wants somebody?" said={count(alerts.data.items.length, "alert")} flush>
          <AlertsTable alerts={alerts.data.items} monitor={false} />
        </Panel>
      )}
      {monitor.watches.map((kind) => (
        <Part
          key={kind}
          monitor={monitor.name}
          kind={kind}
          newest={newest.get(kind)}
          aside={(kind === "missing" && sinceSaid(monitor)) || UNITS[kind]}
        />
      ))}
    </>
  );
}

const LIMITS: Record<Kind, number> = { performance: 60, regret: 30, drift: 60, missing: 120, skew: 20 };

function Part({ monitor, kind, newest, aside }: { monitor: string; kind: Kind; newest: Look | undefined; aside: string }) {
  const project = useProject();
  const looks = useRead(
    "/api/v1/projects/{project}/monitors/{name}/looks",
    { project, name: monitor, kind, limit: LIMITS[kind] },
    { enabled: !!newest },
  );
  return (
    <section id={kind} style={{ display: "contents" }}>
      <Panel title={QUESTIONS[kind]} said={newest && <Pill tone={WORD_TONES[newest.word]}>{newest.word}</Pill>} aside={aside} flush>
        {newest ? (
          <Ready query={looks} what={`the looks at ${kind}`}>
            {({ items }) => <Evidence kind={kind} looks={items} newest={newest} />}
          </Ready>
        ) : (
          <Unseen kind={kind} />
        )}
      </Panel>
    </section>
  );
}

const UNITS: Record<Kind, string> = {
  performance: "by days, on matured labels",
  regret: "by days, on rows that neither had seen",
  drift: "by weeks, against training",
  missing: "every quarter of a day",
  skew: "recomputed as known then",
};

function Evidence({ kind, looks, newest }: { kind: Kind; looks: readonly Look[]; newest: Look }) {
  switch (kind) {
    case "performance":
      return <PerformanceLooks looks={looks} />;
    case "drift":
      return (
        <With summary={newest.summary} word={newest.word}>
          {(newest.figures as unknown as DriftFigures).features?.length ? <DriftTable looks={looks} newest={newest} /> : null}
        </With>
      );
    case "missing":
      return (
        <With summary={newest.summary} word={newest.word}>
          {(newest.figures as unknown as MissingFigures).subjects?.length ? <MissingTable looks={looks} newest={newest} /> : null}
          <LooksTable looks={looks} />
        </With>
      );
    case "skew":
      return (
        <With summary={newest.summary.replace(": skew: ", ": ")} word={newest.word}>
          <SkewTable newest={newest} />
        </With>
      );
    case "regret":
      return <LooksTable looks={looks} />;
  }
}

/** A conclusion in the look's own words, before its figures. */
function With({ summary, word, children }: { summary: string; word: string; children: ReactNode }) {
  return (
    <>
      <p className="said-of">{retold(summary.replace(`${word}: `, ""))}</p>
      {children}
    </>
  );
}

const WAITS: Record<Kind, string> = {
  performance: "The first window has not ended, or its labels have not matured.",
  regret: "No fresh model has been judged beside the champion on the same rows yet.",
  drift: "The first whole week since the version answers has not ended.",
  missing: "The first quarter of a day since the version answers has not ended.",
  skew: "Nobody has recomputed served answers yet: features are the user's code, which no server runs.",
};

function Unseen({ kind }: { kind: Kind }) {
  return (
    <Empty title="Not enough data yet">
      {WAITS[kind]} {kind === "skew" && <Command>service.skew()</Command>}
    </Empty>
  );
}
