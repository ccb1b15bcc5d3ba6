import type ElkModule from "elkjs/lib/elk.bundled.js";
import type { ElkExtendedEdge } from "elkjs/lib/elk-api.js";
import type { Schemas } from "../api/client";

type Graph = Schemas["LineageGraph"];
type Edge = Graph["edges"][number];

export interface Placed {
  nodes: { id: string; x: number; y: number; version: Graph["nodes"][number] }[];
  edges: { id: string; edge: Edge; points: Point[] }[];
}

export interface Point {
  x: number;
  y: number;
}

export const NODE = { width: 184, height: 54 };

type Elk = InstanceType<typeof ElkModule>;
let elk: Promise<Elk> | undefined;

/** Places and edge routes for a lineage graph, left to right in layers. ELK is large, and loaded by the first graph. */
export async function place(graph: Graph): Promise<Placed> {
  elk ??= import("elkjs/lib/elk.bundled.js").then((loaded) => new loaded.default());
  const shown = telling(graph);
  const laid = await (await elk).layout({
    id: "lineage",
    layoutOptions: {
      "elk.algorithm": "layered",
      "elk.direction": "RIGHT",
      "elk.edgeRouting": "POLYLINE",
      "elk.spacing.nodeNode": "18",
      "elk.spacing.edgeNode": "14",
      "elk.layered.spacing.nodeNodeBetweenLayers": "72",
      "elk.layered.nodePlacement.strategy": "NETWORK_SIMPLEX",
    },
    children: graph.nodes.map((node) => ({ id: idOf(node), ...NODE })),
    edges: shown.map((edge) => ({ id: edgeId(edge), sources: [idOf(edge.source)], targets: [idOf(edge.target)] })),
  });
  const places = new Map((laid.children ?? []).map((child) => [child.id, child]));
  const routes = new Map(((laid.edges ?? []) as ElkExtendedEdge[]).map((edge) => [edge.id, edge.sections?.[0]]));
  return {
    nodes: graph.nodes.map((version) => {
      const at = places.get(idOf(version));
      return { id: idOf(version), x: at?.x ?? 0, y: at?.y ?? 0, version };
    }),
    edges: shown.map((edge) => {
      const route = routes.get(edgeId(edge));
      return { id: edgeId(edge), edge, points: route ? [route.startPoint, ...(route.bendPoints ?? []), route.endPoint] : [] };
    }),
  };
}

/** Without the edges from views to a model whose training set says the same: seven more lines that tell nothing new. */
export function telling(graph: Graph): Edge[] {
  const trained = new Set(
    graph.edges.filter((edge) => edge.role === "training" || edge.role === "gated_by").map((edge) => idOf(edge.target)),
  );
  return graph.edges.filter((edge) => edge.role !== "feature" || !trained.has(idOf(edge.target)));
}

/** A line through the points whose corners are rounded. */
export function pathOf(points: Point[]): string {
  const [first, ...rest] = points;
  const last = rest.at(-1);
  if (!first || !last) return "";
  let path = `M${first.x},${first.y}`;
  let from = first;
  for (const to of rest) {
    const middle = (from.x + to.x) / 2;
    path += `C${middle},${from.y} ${middle},${to.y} ${to.x},${to.y}`;
    from = to;
  }
  return path;
}

function edgeId(edge: Edge): string {
  return `${idOf(edge.source)} ${idOf(edge.target)} ${edge.role}`;
}

export function idOf(ref: { name: string; number: number }): string {
  return `${ref.name}@${ref.number}`;
}
