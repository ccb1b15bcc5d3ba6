import { createRoute } from "@tanstack/react-router";
import { useRead } from "../api/queries";
import { EndpointLink, Linked, VersionLink } from "../catalog/links";
import { moment } from "../design/format";
import { Heading, Panel } from "../design/Panel";
import { Pill } from "../design/Pill";
import { Ready } from "../design/States";
import { useNow } from "../shell/now";
import { projectRoute, useProject } from "../shell/root";
import { HarmPanel } from "./Harm";
import { HurtPanel } from "./Hurt";
import { RolloutActions } from "./RolloutActions";
import { isOpen, lastReason, type Rollout, STATE_TONES, stepTitle } from "./rollouts";
import { Track } from "./Track";
import "../serving/serving.css";

export const rolloutRoute = createRoute({ getParentRoute: () => projectRoute, path: "rollouts/$rolloutId", component: RolloutPage });

/** One rollout: what it came to, why, and what it was held against. */
function RolloutPage() {
  const project = useProject();
  const { rolloutId } = rolloutRoute.useParams();
  const rollout = useRead("/api/v1/projects/{project}/rollouts/{rollout_id}", { project, rollout_id: rolloutId });
  return (
    <Ready query={rollout} what="the rollout">
      {(found) => <Shown rollout={found} />}
    </Ready>
  );
}

const CONCLUSIONS: Record<Rollout["state"], string> = {
  running: "is on its way behind",
  paused: "is paused on its way behind",
  promoted: "was promoted behind",
  "rolled back": "was rolled back from",
  superseded: "was superseded behind",
};

function Shown({ rollout }: { rollout: Rollout }) {
  const now = useNow();
  return (
    <>
      <Heading
        title={
          <>
            {rollout.model}@{rollout.number} <span className="third">{CONCLUSIONS[rollout.state]}</span> {rollout.endpoint}
          </>
        }
        actions={isOpen(rollout) ? <RolloutActions rollout={rollout} /> : undefined}
      >
        <Linked text={lastReason(rollout)} /> · beside <VersionLink name={rollout.model} number={rollout.champion} /> on{" "}
        <EndpointLink name={rollout.endpoint} /> since {moment(rollout.started_at)} · <code>{rollout.id}</code>
      </Heading>
      <Track rollout={rollout} now={now} />
      <div className="halves">
        <HarmPanel rollout={rollout} />
        <HurtPanel rollout={rollout} />
      </div>
      <Panel title="What happened to it?" said="oldest first, each with its reason" flush>
        <table className="ledger">
          <thead>
            <tr>
              <th>When</th>
              <th>State</th>
              <th>Step</th>
              <th>Why</th>
              <th>By</th>
            </tr>
          </thead>
          <tbody>
            {rollout.history.map((event) => {
              const step = rollout.steps[event.step];
              return (
                <tr key={`${event.at}${event.state}${event.step}`}>
                  <td className="mono third nowrap">{moment(event.at)}</td>
                  <td>
                    <Pill tone={STATE_TONES[event.state as Rollout["state"]] ?? "quiet"}>{event.state}</Pill>
                  </td>
                  <td className="nowrap">{step ? stepTitle(step) : "–"}</td>
                  <td className="wrap">
                    <Linked text={event.reason || "–"} />
                  </td>
                  <td className="third nowrap">{event.by}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </Panel>
    </>
  );
}
