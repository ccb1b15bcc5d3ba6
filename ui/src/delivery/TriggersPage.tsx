import { createRoute } from "@tanstack/react-router";
import type { Schemas } from "../api/client";
import { useRead } from "../api/queries";
import { useWrite } from "../api/writes";
import { AssetLink, Linked, RolloutLink } from "../catalog/links";
import { Act } from "../design/Ask";
import { count, moment, retold } from "../design/format";
import { Heading, Panel } from "../design/Panel";
import { Pill, type Tone } from "../design/Pill";
import { Empty, Ready } from "../design/States";
import { MonitorLink } from "../monitoring/links";
import { projectRoute, useProject } from "../shell/root";
import { type Rollout, STATE_TONES } from "./rollouts";
import "../monitoring/monitoring.css";

type Trigger = Schemas["Trigger"];
type Build = Schemas["Build"];

export const triggersRoute = createRoute({ getParentRoute: () => projectRoute, path: "triggers", component: TriggersPage });

const SHOWN = 12;

/** What asks for builds by itself, what came of it, and when asking has turned out to be useless. */
function TriggersPage() {
  const project = useProject();
  const triggers = useRead("/api/v1/projects/{project}/triggers", { project });
  return (
    <>
      <Heading title="Triggers">
        Each asks for a build of a model when a monitor says worse or a time has come; what passes its gate goes behind the model's
        endpoints.
      </Heading>
      <Ready query={triggers} what="the triggers">
        {({ items }) =>
          items.length ? (
            items.map((trigger) => <One key={trigger.name} trigger={trigger} />)
          ) : (
            <Panel title="0 triggers">
              <Empty title="Nothing retrains by itself" command="clew apply">
                Declare <code>clew.on(clew.cron("0 4 1 * *"), build=late, name="late_retrain")</code>.
              </Empty>
            </Panel>
          )
        }
      </Ready>
    </>
  );
}

function One({ trigger }: { trigger: Trigger }) {
  return (
    <section id={trigger.name} style={{ display: "contents" }}>
      <Panel
        title={trigger.name}
        said={
          <>
            builds <AssetLink name={trigger.model} /> <Conditions of={trigger} />
          </>
        }
        aside={
          <span className="row">
            {trigger.not_improved && <Pill tone="warn">retraining doesn’t improve it</Pill>}
            {trigger.state !== "active" && <Pill tone="warn">{trigger.state}</Pill>}
            {trigger.state !== "paused" && trigger.next_at && `next ${moment(trigger.next_at)}`}
            <Fire trigger={trigger} />
            {trigger.state === "active" ? <Pause trigger={trigger} /> : <Resume trigger={trigger} />}
          </span>
        }
        flush
      >
        {trigger.reason && (
          <p className="said-of">
            {trigger.state === "paused"
              ? "Paused: "
              : trigger.state === "on schedule"
                ? "It listens to no monitor any more: "
                : "Resumed: "}
            <Linked text={trigger.reason} />
          </p>
        )}
        {trigger.barren > 0 && (
          <p className="said-of">
            The last {trigger.barren === 1 ? "build" : `${trigger.barren} builds`} brought nothing; after three in a row it is paused.
          </p>
        )}
        {trigger.builds.length ? <Builds builds={trigger.builds} model={trigger.model} /> : <Empty title="It has asked for nothing yet" />}
      </Panel>
    </section>
  );
}

function Conditions({ of }: { of: Trigger }) {
  return (
    <>
      {of.conditions.map((condition, index) => (
        <span key={`${condition.kind}${condition.cron}${condition.monitor}`}>
          {index > 0 && ", or "}
          {condition.kind === "cron" ? (
            <>
              at <code>{condition.cron}</code> ({condition.zone})
            </>
          ) : (
            <>
              when <MonitorLink name={condition.monitor ?? ""} /> says worse
            </>
          )}
        </span>
      ))}
    </>
  );
}

const TONES: Record<Build["job"]["state"], Tone> = { queued: "quiet", running: "info", done: "ok", failed: "bad" };

/** A build that was done may have brought nothing: its word is that of what it left. */
function wordOf({ job }: Build): { word: string; tone: Tone } {
  const state = (job.result as { state?: string } | null)?.state;
  if (job.state !== "done" || !state || state === "ready")
    return { word: job.state === "done" ? "built" : job.state, tone: TONES[job.state] };
  return { word: state, tone: "bad" };
}

function Builds({ builds, model }: { builds: readonly Build[]; model: string }) {
  const project = useProject();
  const rollouts = useRead("/api/v1/projects/{project}/rollouts", { project, limit: 100 });
  return (
    <table className="ledger">
      <thead>
        <tr>
          <th>When</th>
          <th>State</th>
          <th>What came of it</th>
          <th>Cause</th>
          <th className="number">Attempt</th>
          <th>Job</th>
        </tr>
      </thead>
      <tbody>
        {builds.slice(0, SHOWN).map((build) => {
          const { word, tone } = wordOf(build);
          return (
            <tr key={build.job.id}>
              <td className="mono third nowrap">{moment(build.job.due_at)}</td>
              <td>
                <Pill tone={tone}>{word}</Pill>
              </td>
              <td className="wrap">
                <Linked text={build.outcome} />
                {(rollouts.data?.items ?? [])
                  .filter((one) => one.model === model && isOf(one, build))
                  .map((one) => (
                    <span key={one.id}>
                      {" "}
                      <RolloutLink rolloutId={one.id}>
                        <Pill tone={STATE_TONES[one.state]}>{one.state}</Pill>
                      </RolloutLink>
                    </span>
                  ))}
              </td>
              <td className="wrap second">{retold(String((build.job.arguments as { cause?: string }).cause ?? "–"))}</td>
              <td className="number">{build.job.attempt}</td>
              <td className="mono third nowrap" title={build.job.id}>
                …{build.job.id.slice(-8)}
              </td>
            </tr>
          );
        })}
        {builds.length > SHOWN && (
          <tr>
            <td colSpan={6} className="third">
              and {count(builds.length - SHOWN, "older build")}
            </td>
          </tr>
        )}
      </tbody>
    </table>
  );
}

/** Whether a rollout is what became of a build: its words name the version first. */
function isOf(rollout: Rollout, build: Build): boolean {
  return build.outcome.startsWith(`${rollout.model}@${rollout.number} `);
}

function Fire({ trigger }: { trigger: Trigger }) {
  const project = useProject();
  const fire = useWrite("POST", "/api/v1/projects/{project}/triggers/{name}/fire");
  return (
    <Act
      label="Ask now…"
      about={trigger.name}
      small
      title={`Ask for a build of ${trigger.model} now?`}
      confirm="Ask for a build"
      withReason
      unable={trigger.state === "paused" ? "It is paused; resume it first" : undefined}
      act={async (reason) => {
        const job = await fire({ project, name: trigger.name }, { reason });
        return job ? `A build of ${trigger.model} is asked for.` : `A build of ${trigger.model} is under way already; none is asked for.`;
      }}
    >
      <ul className="consequences">
        <li>A worker takes it up: newest matured rows, the winner's parameters, the gate, then a refit.</li>
        <li>
          What passes sets out behind the endpoints of {trigger.model} by their steps. While a build or a rollout is under way, none is
          asked for.
        </li>
      </ul>
    </Act>
  );
}

function Pause({ trigger }: { trigger: Trigger }) {
  const project = useProject();
  const pause = useWrite("POST", "/api/v1/projects/{project}/triggers/{name}/pause");
  return (
    <Act
      label="Pause…"
      about={trigger.name}
      small
      title={`Let ${trigger.name} ask for nothing?`}
      confirm="Pause"
      withReason
      act={async (reason) => {
        await pause({ project, name: trigger.name }, { reason });
        return `${trigger.name} is paused.`;
      }}
    >
      <ul className="consequences">
        <li>
          Neither its times nor a monitor that says worse ask for a build until it is resumed. Each time that it would have asked is on
          record.
        </li>
        <li>A build that is under way goes on.</li>
      </ul>
    </Act>
  );
}

function Resume({ trigger }: { trigger: Trigger }) {
  const project = useProject();
  const resume = useWrite("POST", "/api/v1/projects/{project}/triggers/{name}/resume");
  return (
    <Act
      label="Resume…"
      about={trigger.name}
      small
      title={`Let ${trigger.name} ask again?`}
      confirm="Resume"
      withReason
      act={async (reason) => {
        await resume({ project, name: trigger.name }, { reason });
        return `${trigger.name} asks again.`;
      }}
    >
      <ul className="consequences">
        <li>It asks at its next time, or when a monitor says worse. What its earlier builds brought counts no more.</li>
      </ul>
    </Act>
  );
}
