import type { ReactNode } from "react";
import { ServerError } from "../api/client";
import { useRead } from "../api/queries";
import { tellTimeIn } from "../design/format";
import { Empty, Trouble, Waiting } from "../design/States";

interface ZoneProps {
  project: string;
  children: ReactNode;
}

/**
 * A project's page, once it is known that the project is there and by which clock it tells time: that of its training set, by whose days
 * everything is judged, else of its data.
 */
export function Zoned({ project, children }: ZoneProps) {
  const found = useRead("/api/v1/projects/{project}", { project });
  const zone = useZone(project);
  if (found.error instanceof ServerError && found.error.status === 404)
    return (
      <Empty title={`There is no project ${project}`}>
        {found.error.message}. <a href="/">Go to the server's own project</a>.
      </Empty>
    );
  if (found.error && !found.data) return <Trouble error={found.error} retry={() => void found.refetch()} />;
  if (zone === undefined) return <Waiting for="the project" />;
  tellTimeIn(zone, found.data?.event_time);
  return (
    <div key={zone} style={{ display: "contents" }}>
      {children}
    </div>
  );
}

function useZone(project: string): string | undefined {
  const assets = useRead("/api/v1/projects/{project}/assets", { project, limit: 1000 });
  const items = assets.data?.items ?? [];
  const like = items.find((one) => one.kind === "training_set" && one.latest) ?? items.find((one) => one.kind === "dataset" && one.latest);
  const version = useRead(
    "/api/v1/projects/{project}/assets/{name}/versions/{number}",
    { project, name: like?.name ?? "", number: like?.latest ?? 0 },
    { enabled: !!like?.latest, fixed: true },
  );
  if (assets.isPending || (like && version.isPending)) return undefined;
  const { zone, columns } = (version.data?.details ?? {}) as { zone?: string | null; columns?: { zone?: string | null }[] };
  return zone ?? columns?.find((column) => column.zone)?.zone ?? "UTC";
}
