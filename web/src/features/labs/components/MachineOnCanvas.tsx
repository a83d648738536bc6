import { Handle, type Node as FlowNode, type NodeProps, Position } from "@xyflow/react";
import TerminalIcon from "@patternfly/react-icons/dist/esm/icons/terminal-icon";
import ServerIcon from "@patternfly/react-icons/dist/esm/icons/server-icon";
import { Link } from "react-router";

import type { Node } from "../../../shared/api/types";
import { paths } from "../../../shared/paths";

export interface MachineData extends Record<string, unknown> {
  node: Node;
  /** The address to show. */
  address: string | undefined;
}

/** A node on the canvas. */
export function MachineOnCanvas({
  data: { node, address },
  selected,
  isConnectable,
}: NodeProps<FlowNode<MachineData, "machine">>) {
  const more = node.addresses.length - 1;
  const detail = address === undefined ? (node.image?.name ?? node.osType) : more > 0 ? `${address} +${more}` : address;
  return (
    <div
      className={selected ? "sl-machine sl-machine--chosen" : "sl-machine"}
      data-machine={node.name}
      data-run={node.state}
    >
      <span className="sl-machine__icon" aria-hidden>
        <ServerIcon />
      </span>
      <div className="sl-machine__text">
        <span className="sl-machine__name" title={node.name}>
          {node.name}
        </span>
        <span className="sl-machine__detail" title={node.addresses.join(", ") || detail}>
          {detail}
        </span>
        <span className="sl-machine__state">
          <span className="sl-machine__dot" aria-hidden />
          {node.state}
        </span>
      </div>
      <Link
        className="sl-machine__console nodrag"
        to={paths.console(node.id)}
        aria-label={`Console of ${node.name}`}
        title="Console"
      >
        <TerminalIcon />
      </Link>
      <Dot isConnectable={isConnectable} name={node.name} />
    </div>
  );
}

/** Links are dragged from here. The list next to the canvas works without a pointer device. */
export function Dot({ isConnectable, name }: { isConnectable: boolean; name: string }) {
  return (
    <Handle
      type="source"
      id="dot"
      position={Position.Bottom}
      isConnectable={isConnectable}
      className="sl-dot"
      title={isConnectable ? `Drag to connect ${name}` : undefined}
      data-dot={name}
    />
  );
}
