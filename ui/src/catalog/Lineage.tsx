import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Background, BaseEdge, Controls, type EdgeProps, Handle, type NodeProps, Position, ReactFlow } from "@xyflow/react";
import "@xyflow/react/dist/style.css";
import "./lineage.css";
import { useMemo } from "react";
import type { Schemas } from "../api/client";
import { useRead } from "../api/queries";
import { Ready } from "../design/States";
import { useShade } from "../design/theme";
import { useProject } from "../shell/root";
import { idOf, NODE, type Placed, type Point, pathOf, place } from "./layout";

const KIND_WORDS: Record<string, string> = {
  dataset: "dataset",
  feature_view: "feature view",
  training_set: "training set",
  model: "model",
};

function VersionNode({ data }: NodeProps) {
  const { version, here } = data as { version: Schemas["AssetVersion"]; here: boolean };
  return (
    <div className="lineage-node" data-kind={version.kind} data-here={here}>
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <span className="third">{KIND_WORDS[version.kind]}</span>
      <span className="mono clip" title={idOf(version)}>
        {idOf(version)} {version.aliases.length > 0 && <b>{version.aliases.join(" ")}</b>}
      </span>
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </div>
  );
}

/** Roles that the kinds of both ends say already need no words. */
const SAID_BY_KINDS = new Set(["input", "feature", "training"]);

/** An edge along the way that ELK found around the boxes. */
function RoutedEdge({ data, label }: EdgeProps) {
  const points = (data?.points ?? []) as Point[];
  const [from, to] = [points[0], points.at(-1)];
  if (!from || !to) return null;
  return <BaseEdge path={pathOf(points)} label={label} labelX={to.x - 36} labelY={to.y} labelBgPadding={[4, 2]} />;
}

const NODE_TYPES = { version: VersionNode };
const EDGE_TYPES = { routed: RoutedEdge };

/** What a version was made from, and what was made from it. Every box leads on. */
export function Lineage({ name, number }: { name: string; number: number }) {
  const project = useProject();
  const graph = useRead("/api/v1/projects/{project}/assets/{name}/versions/{number}/lineage", { project, name, number });
  return (
    <Ready query={graph} what="the lineage">
      {(found) => <Drawn graph={found} here={`${name}@${number}`} />}
    </Ready>
  );
}

function Drawn({ graph, here }: { graph: Schemas["LineageGraph"]; here: string }) {
  const project = useProject();
  const navigate = useNavigate();
  const shade = useShade();
  // On a narrow screen the whole would be too small to read: it opens at this version, to be moved around.
  const narrow = matchMedia("(max-width: 760px)").matches;
  const key = useMemo(() => JSON.stringify([graph.nodes.map(idOf), graph.edges]), [graph]);
  const placed = useQuery<Placed, Error>({
    queryKey: ["lineage layout", key],
    queryFn: () => place(graph),
    staleTime: Number.POSITIVE_INFINITY,
    meta: { fixed: true },
  });
  return (
    <Ready query={placed} what="the places of the graph">
      {({ nodes, edges }) => (
        <div className="lineage" data-testid="lineage">
          <ReactFlow
            key={key}
            nodes={nodes.map(({ id, x, y, version }) => ({
              id,
              type: "version",
              position: { x, y },
              data: { version, here: id === here },
              ...NODE,
            }))}
            edges={edges.map(({ id, edge, points }) => ({
              id,
              type: "routed",
              source: idOf(edge.source),
              target: idOf(edge.target),
              label: SAID_BY_KINDS.has(edge.role) ? undefined : edge.role.replace("_", " "),
              data: { points },
            }))}
            edgeTypes={EDGE_TYPES}
            nodeTypes={NODE_TYPES}
            colorMode={shade}
            fitView
            fitViewOptions={narrow ? { maxZoom: 0.5, nodes: [{ id: here }] } : { maxZoom: 1, padding: 0.08 }}
            minZoom={0.2}
            nodesDraggable={false}
            nodesConnectable={false}
            zoomOnScroll={false}
            preventScrolling={false}
            proOptions={{ hideAttribution: true }}
            onNodeClick={(_, node) => {
              const [to = "", at = ""] = node.id.split("@");
              void navigate({ to: "/projects/$project/assets/$name/$number", params: { project, name: to, number: at } });
            }}
          >
            <Background color="var(--line)" gap={18} size={1} />
            <Controls showInteractive={false} />
          </ReactFlow>
        </div>
      )}
    </Ready>
  );
}
