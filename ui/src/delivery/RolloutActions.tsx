import { useWrite } from "../api/writes";
import { Act } from "../design/Ask";
import { count, moment } from "../design/format";
import { useProject } from "../shell/root";
import { candidateOf, championOf, type Rollout, stepTitle } from "./rollouts";

/** What a person may do to a rollout that has not ended. */
export function RolloutActions({ rollout }: { rollout: Rollout }) {
  return (
    <>
      <End rollout={rollout} />
      {rollout.state === "paused" ? <Resume rollout={rollout} /> : <Pause rollout={rollout} />}
      <Promote rollout={rollout} />
    </>
  );
}

function End({ rollout }: { rollout: Rollout }) {
  const project = useProject();
  const end = useWrite("POST", "/api/v1/projects/{project}/rollouts/{rollout_id}/end");
  const [candidate, champion] = [candidateOf(rollout), championOf(rollout)];
  return (
    <Act
      label="Roll back…"
      tone="bad"
      title={`Take ${candidate} off ${rollout.endpoint}?`}
      confirm={`Roll back to ${champion}`}
      withReason
      act={async (reason) => {
        await end({ project, rollout_id: rollout.id }, { reason });
        return `${candidate} is taken off ${rollout.endpoint}; ${champion} answers all.`;
      }}
    >
      <ul className="consequences">
        <li>
          {champion} answers every request again, once serving processes have taken the new route; until then both go on as they do now.
        </li>
        <li>This rollout ends as rolled back, with your reason.</li>
        <li>{candidate} is not marked as rejected: only a guard does that. It can be rolled out again.</li>
      </ul>
    </Act>
  );
}

function Pause({ rollout }: { rollout: Rollout }) {
  const project = useProject();
  const pause = useWrite("POST", "/api/v1/projects/{project}/rollouts/{rollout_id}/pause");
  const step = rollout.steps[rollout.step];
  return (
    <Act
      label="Pause…"
      title={`Pause the rollout of ${candidateOf(rollout)}?`}
      confirm="Pause"
      withReason
      act={async (reason) => {
        await pause({ project, rollout_id: rollout.id }, { reason });
        return `The rollout of ${candidateOf(rollout)} is paused.`;
      }}
    >
      <ul className="consequences">
        <li>It stays at {step ? stepTitle(step) : "its step"} until it is resumed; the step's end moves by as long as the pause was.</li>
        <li>The guard goes on watching, and rolls back if it finds harm.</li>
        <li>While it is open, no other version comes on its way behind {rollout.endpoint}, and no trigger asks for a build.</li>
      </ul>
    </Act>
  );
}

function Resume({ rollout }: { rollout: Rollout }) {
  const project = useProject();
  const resume = useWrite("POST", "/api/v1/projects/{project}/rollouts/{rollout_id}/resume");
  const step = rollout.steps[rollout.step];
  return (
    <Act
      label="Resume…"
      title={`Go on with ${candidateOf(rollout)}?`}
      confirm="Resume"
      withReason
      act={async (reason) => {
        const { step_ends_at } = await resume({ project, rollout_id: rollout.id }, { reason });
        return `The rollout of ${candidateOf(rollout)} goes on; its step ends ${moment(step_ends_at)}.`;
      }}
    >
      <ul className="consequences">
        <li>
          {step ? stepTitle(step) : "Its step"} goes on where it stood{rollout.paused_at && `, paused since ${moment(rollout.paused_at)}`}.
        </li>
      </ul>
    </Act>
  );
}

function Promote({ rollout }: { rollout: Rollout }) {
  const project = useProject();
  const promote = useWrite("POST", "/api/v1/projects/{project}/rollouts/{rollout_id}/promote");
  const [candidate, champion] = [candidateOf(rollout), championOf(rollout)];
  const { harm } = rollout;
  return (
    <Act
      label="Promote now…"
      strong
      title={`Let ${candidate} answer everything now?`}
      confirm={`Promote ${candidate}`}
      withReason
      act={async (reason) => {
        await promote({ project, rollout_id: rollout.id }, { reason });
        return `${candidate} is promoted: ${rollout.endpoint} answers with it.`;
      }}
    >
      <ul className="consequences">
        <li>
          All requests go to {candidate} and no longer to {champion}, before the rollout's steps are over ({moment(rollout.step_ends_at)}).
        </li>
        <li>
          {harm && harm.rows > 0
            ? `So far: ${harm.word}, on ${count(harm.rows, "row")} of ${harm.blocks} ${harm.unit}.`
            : "So far nothing is known about harm: no label of an answer that both scored has matured."}{" "}
          Afterwards no guard watches: a rollback is yours.
        </li>
        <li>
          The alias champion of {rollout.model} moves along; a rollback brings {champion} back.
        </li>
      </ul>
    </Act>
  );
}
