import type ElkModule from "elkjs/lib/elk.bundled.js";
import type { Schemas } from "../api/client";

export interface Placed {
  id: string;
  x: number;
  y: number;
  version: Schemas["AssetVersion"];
}

export const NODE = { width: 184, height: 54 };

type Elk = InstanceType<typeof ElkModule>;
let elk: Promise<Elk> | undefined;

/** Places for a lineage graph, made left to right in layers. ELK is large, and loaded by the first graph. */
export async function place(graph: Schemas["LineageGraph"]): Promise<Placed[]> {
  elk ??= import("elkjs/lib/elk.bundled.js").then((loaded) => new loaded.default());
  const laid = await (await elk).layout({
    id: "lineage",
    layoutOptions: {
      "elk.algorithm": "layered",
      "elk.direction": "RIGHT",
      "elk.spacing.nodeNode": "18",
      "elk.layered.spacing.nodeNodeBetweenLayers": "64",
    },
    children: graph.nodes.map((node) => ({ id: idOf(node), ...NODE })),
    edges: graph.edges.map((edge, index) => ({ id: `e${index}`, sources: [idOf(edge.source)], targets: [idOf(edge.target)] })),
  });
  const versions = new Map(graph.nodes.map((node) => [idOf(node), node]));
  return (laid.children ?? []).flatMap(({ id, x = 0, y = 0 }) => {
    const version = versions.get(id);
    return version ? [{ id, x, y, version }] : [];
  });
}

export function idOf(ref: { name: string; number: number }): string {
  return `${ref.name}@${ref.number}`;
}
