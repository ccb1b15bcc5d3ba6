import { useRead } from "../api/queries";
import { VersionLink } from "../catalog/links";
import { percent } from "../design/format";
import { AliasPill, Pill } from "../design/Pill";
import { standing } from "../registry/judged";
import { useVerdicts } from "../registry/useVerdicts";
import { useProject } from "../shell/root";
import { isOpen, type Rollout, shareOfStep, stepSaid, stepTitle } from "./rollouts";
import "./delivery.css";

interface TrackProps {
  rollout: Rollout;
  /** Event time. */
  now: number;
}

/** Who answers how much, and the steps with where event time stands in them. */
export function Track({ rollout, now }: TrackProps) {
  const share = rollout.steps[rollout.step]?.share ?? 0;
  return (
    <section className="panel" aria-label="The rollout">
      <div className="inside stack">
        {isOpen(rollout) && <Split rollout={rollout} share={share} />}
        <Steps rollout={rollout} now={now} />
      </div>
    </section>
  );
}

function Split({ rollout, share }: { rollout: Rollout; share: number }) {
  const kind = rollout.steps[rollout.step]?.kind ?? "shadow";
  return (
    <div className="route-bar">
      <span className="champion" style={{ flexGrow: Math.max(1 - share, 0.05) }}>
        <b>{percent(1 - share)}</b> <VersionLink name={rollout.model} number={rollout.champion} /> <AliasPill>champion</AliasPill>
      </span>
      <span className="other" style={{ flexGrow: Math.max(share, 0.1) }}>
        <b>{percent(share)}</b> <VersionLink name={rollout.model} number={rollout.number} /> {kind}
        {rollout.state === "paused" && ", paused"}
      </span>
    </div>
  );
}

function Steps({ rollout, now }: TrackProps) {
  const places = rollout.steps.length + 2;
  const done = ((1 + rollout.step + shareOfStep(rollout, now)) / places) * 100;
  const promoted = rollout.state === "promoted";
  return (
    <div>
      <div
        className="track"
        role="progressbar"
        aria-label="Steps of the rollout"
        aria-valuenow={Math.round(promoted ? 100 : done)}
        aria-valuemin={0}
        aria-valuemax={100}
      >
        <i style={{ width: `${promoted ? 100 : done}%` }} data-state={rollout.state} />
      </div>
      <ol className="steps" style={{ gridTemplateColumns: `repeat(${places}, minmax(0, 1fr))` }}>
        <li>
          <b>Gate</b>
          <Gated rollout={rollout} />
        </li>
        {rollout.steps.map((step, at) => (
          <li key={stepTitle(step)} aria-current={at === rollout.step ? "step" : undefined} data-ahead={at > rollout.step}>
            <b>{stepTitle(step)}</b>
            <span>{stepSaid(rollout, at, now)}</span>
          </li>
        ))}
        <li data-ahead={!promoted}>
          <b>Promote</b>
          <span>{promoted ? "it answers all" : "when its steps are over, unless it does harm"}</span>
        </li>
      </ol>
    </div>
  );
}

function Gated({ rollout }: { rollout: Rollout }) {
  const project = useProject();
  const { model, number } = rollout;
  const version = useRead("/api/v1/projects/{project}/assets/{name}/versions/{number}", { project, name: model, number });
  const verdicts = useVerdicts(version.data);
  const newest = standing(verdicts.data?.items ?? [])[0];
  if (rollout.ungated) return <Pill tone="warn">ungated</Pill>;
  if (!verdicts.isSuccess) return <span>&nbsp;</span>;
  if (!newest) return <span>no gate has looked</span>;
  const { difference } = newest.figures as { difference?: { blocks: number; rows: number } };
  return (
    <span>
      {newest.word}
      {difference && `: ${difference.blocks} days, ${difference.rows.toLocaleString("en-US")} rows`}
    </span>
  );
}
