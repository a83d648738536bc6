import { BaseEdge, type Edge, type EdgeProps, useInternalNode } from "@xyflow/react";

import { networkSize, nodeSize } from "../layout";

export interface LinkEdgeData extends Record<string, unknown> {
  /** Whether the node at its end is running. */
  isLive: boolean;
}

/** A link from the middle of a node to the middle of a network, drawn behind both. */
export function LinkEdge({ source, target, selected, data }: EdgeProps<Edge<LinkEdgeData, "link">>) {
  const from = useInternalNode(source)?.internals.positionAbsolute;
  const to = useInternalNode(target)?.internals.positionAbsolute;
  if (!from || !to) {
    return null;
  }
  const path = `M ${from.x + nodeSize.width / 2},${from.y + nodeSize.height / 2} L ${to.x + networkSize.width / 2},${to.y + networkSize.height / 2}`;
  return (
    <BaseEdge
      path={path}
      interactionWidth={24}
      className={`sl-link${data?.isLive ? " sl-link--live" : ""}${selected ? " sl-link--chosen" : ""}`}
    />
  );
}
