import { Link } from "@tanstack/react-router";
import { Fragment, type ReactNode } from "react";
import { useRead } from "../api/queries";
import { retold } from "../design/format";
import { useProject } from "../shell/root";

export function VersionLink({ name, number, children }: { name: string; number: number | string; children?: ReactNode }) {
  const project = useProject();
  return (
    <Link to="/projects/$project/assets/$name/$number" params={{ project, name, number: String(number) }} className="mono">
      {children ?? `${name}@${number}`}
    </Link>
  );
}

export function AssetLink({ name, children }: { name: string; children?: ReactNode }) {
  const project = useProject();
  return (
    <Link to="/projects/$project/assets/$name" params={{ project, name }}>
      {children ?? name}
    </Link>
  );
}

export function EndpointLink({ name, children }: { name: string; children?: ReactNode }) {
  const project = useProject();
  return (
    <Link to="/projects/$project/endpoints/$name" params={{ project, name }}>
      {children ?? name}
    </Link>
  );
}

export function RunLink({ runId, children }: { runId: string; children?: ReactNode }) {
  const project = useProject();
  return (
    <Link to="/projects/$project/runs/$runId" params={{ project, runId }}>
      {children ?? <RunName runId={runId} />}
    </Link>
  );
}

/** A run by its name; its id until that is read, and where it is gone. */
export function RunName({ runId }: { runId: string }) {
  const project = useProject();
  const { data } = useRead("/api/v1/projects/{project}/runs/{run_id}", { project, run_id: runId });
  return data ? data.run.name : <span className="mono">{runId}</span>;
}

export function PredictionLink({ predictionId, children }: { predictionId: string; children?: ReactNode }) {
  const project = useProject();
  return (
    <Link to="/projects/$project/predictions/$predictionId" params={{ project, predictionId }} className="mono">
      {children ?? predictionId}
    </Link>
  );
}

export function TriggerLink({ name, children }: { name: string; children?: ReactNode }) {
  const project = useProject();
  return (
    <Link to="/projects/$project/triggers" params={{ project }} hash={name}>
      {children ?? name}
    </Link>
  );
}

export function RolloutLink({ rolloutId, children }: { rolloutId: string; children?: ReactNode }) {
  const project = useProject();
  return (
    <Link to="/projects/$project/rollouts/$rolloutId" params={{ project, rolloutId }}>
      {children ?? <span className="mono">{rolloutId}</span>}
    </Link>
  );
}

const REFERENCES = /(\b[\w-]+@\d+\b|\b(?:ro|run|job|p)_[0-9a-z]{20,}\b)/;

/** Text in which every `name@7` leads to that version, and every id to what it names. */
export function Linked({ text }: { text: string }) {
  return (
    <>
      {retold(text)
        .split(REFERENCES)
        .map((part, index) => {
          const key = `${index}-${part}`;
          return <Fragment key={key}>{index % 2 ? <Named reference={part} /> : part}</Fragment>;
        })}
    </>
  );
}

function Named({ reference }: { reference: string }) {
  const [name = "", number] = reference.split("@");
  if (number) return <VersionLink name={name} number={number} />;
  if (reference.startsWith("ro_")) return <RolloutLink rolloutId={reference} />;
  if (reference.startsWith("run_")) return <RunLink runId={reference} />;
  if (reference.startsWith("p_")) return <PredictionLink predictionId={reference} />;
  return <span className="mono">{reference}</span>;
}
