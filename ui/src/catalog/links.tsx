import { Link } from "@tanstack/react-router";
import { Fragment, type ReactNode } from "react";
import { useRead } from "../api/queries";
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

/** Text in which every `name@7` leads to that version. */
export function Linked({ text }: { text: string }) {
  const parts = text.split(/(\b[\w-]+@\d+\b)/);
  return (
    <>
      {parts.map((part, index) => {
        const key = `${index}-${part}`;
        const version = index % 2 ? /^(.+)@(\d+)$/.exec(part) : null;
        return <Fragment key={key}>{version ? <VersionLink name={version[1] as string} number={version[2] as string} /> : part}</Fragment>;
      })}
    </>
  );
}
