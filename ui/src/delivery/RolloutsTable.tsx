import { Link } from "@tanstack/react-router";
import { EndpointLink, Linked, VersionLink } from "../catalog/links";
import { moment } from "../design/format";
import { Pill, VerdictPill } from "../design/Pill";
import { useProject } from "../shell/root";
import { isOpen, lastReason, type Rollout, STATE_TONES, stepTitle } from "./rollouts";

/** Rollouts, newest first, each with how it ended and why. */
export function RolloutsTable({ rollouts, endpoint }: { rollouts: readonly Rollout[]; endpoint?: boolean }) {
  const project = useProject();
  return (
    <table className="ledger">
      <thead>
        <tr>
          <th>Version</th>
          {endpoint && <th>Endpoint</th>}
          <th>State</th>
          <th>Harm</th>
          <th>Began</th>
          <th>Ended</th>
          <th>Why</th>
          <th>By</th>
          <th>
            <span className="visually-hidden">Rollout</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {rollouts.map((rollout) => (
          <tr key={rollout.id}>
            <td className="nowrap">
              <VersionLink name={rollout.model} number={rollout.number} /> {rollout.ungated && <Pill tone="warn">ungated</Pill>}
            </td>
            {endpoint && (
              <td>
                <EndpointLink name={rollout.endpoint} />
              </td>
            )}
            <td className="nowrap">
              <Pill tone={STATE_TONES[rollout.state]}>{rollout.state}</Pill>
            </td>
            <td className="nowrap">
              {rollout.harm ? <VerdictPill word={rollout.harm.word} passed /> : <span className="third">not watched</span>}
            </td>
            <td className="mono third nowrap">{moment(rollout.started_at)}</td>
            <td className="mono third nowrap">{isOpen(rollout) ? at(rollout) : moment(rollout.ended_at)}</td>
            <td className="wrap second">
              <Linked text={lastReason(rollout) || "–"} />
            </td>
            <td className="third nowrap">{rollout.history.at(-1)?.by ?? rollout.created_by}</td>
            <td>
              <Link to="/projects/$project/rollouts/$rolloutId" params={{ project, rolloutId: rollout.id }}>
                rollout
              </Link>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function at(rollout: Rollout): string {
  const step = rollout.steps[rollout.step];
  return step ? `in ${stepTitle(step).toLowerCase()}` : "–";
}
