import { Label, type LabelProps } from "@patternfly/react-core";
import DisconnectedIcon from "@patternfly/react-icons/dist/esm/icons/disconnected-icon";
import ExclamationCircleIcon from "@patternfly/react-icons/dist/esm/icons/exclamation-circle-icon";
import InProgressIcon from "@patternfly/react-icons/dist/esm/icons/in-progress-icon";
import PauseIcon from "@patternfly/react-icons/dist/esm/icons/pause-icon";
import PlayIcon from "@patternfly/react-icons/dist/esm/icons/play-icon";
import PowerOffIcon from "@patternfly/react-icons/dist/esm/icons/power-off-icon";
import SaveIcon from "@patternfly/react-icons/dist/esm/icons/save-icon";
import type { ReactNode } from "react";

import type { Node, NodeState } from "../../../shared/api/types";

interface Look {
  text: string;
  color: NonNullable<LabelProps["color"]>;
  icon: ReactNode;
}

const looks: Record<NodeState | "saved", Look> = {
  running: { text: "Running", color: "green", icon: <PlayIcon /> },
  stopped: { text: "Stopped", color: "grey", icon: <PowerOffIcon /> },
  saved: { text: "Saved", color: "purple", icon: <SaveIcon /> },
  paused: { text: "Paused", color: "orange", icon: <PauseIcon /> },
  starting: { text: "Starting", color: "blue", icon: <InProgressIcon className="sl-spin" /> },
  stopping: { text: "Stopping", color: "blue", icon: <InProgressIcon className="sl-spin" /> },
  crashed: { text: "Crashed", color: "red", icon: <ExclamationCircleIcon /> },
  unreachable: { text: "Unreachable", color: "orangered", icon: <DisconnectedIcon /> },
};

/** A node's state as text, colour and icon. A stopped node with a saved state is shown as saved. */
export function NodeStateLabel({ node }: { node: Pick<Node, "state" | "savedState"> }) {
  const state = node.state === "stopped" && node.savedState ? "saved" : node.state;
  const { text, color, icon } = looks[state];
  return (
    <Label color={color} icon={icon} data-state={state}>
      {text}
    </Label>
  );
}
