import type { Node as FlowNode, NodeProps } from "@xyflow/react";
import NetworkIcon from "@patternfly/react-icons/dist/esm/icons/network-icon";

import type { LabNetwork } from "../../../shared/api/types";
import { Dot } from "./MachineOnCanvas";

export interface NetworkData extends Record<string, unknown> {
  network: LabNetwork;
}

/** An isolated network on the canvas. */
export function NetworkOnCanvas({
  data: { network },
  selected,
  isConnectable,
}: NodeProps<FlowNode<NetworkData, "network">>) {
  return (
    <div className={selected ? "sl-net sl-net--chosen" : "sl-net"} data-net={network.name}>
      <span className="sl-net__icon" aria-hidden>
        <NetworkIcon />
      </span>
      <div className="sl-machine__text">
        <span className="sl-net__name" title={network.name}>
          {network.name}
        </span>
        <span className="sl-machine__detail">{network.active ? (network.subnet ?? "no DHCP") : "inactive"}</span>
      </div>
      <Dot isConnectable={isConnectable} name={network.name} />
    </div>
  );
}
