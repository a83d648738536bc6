import { Label, type LabelProps } from "@patternfly/react-core";
import DisconnectedIcon from "@patternfly/react-icons/dist/esm/icons/disconnected-icon";
import ExclamationCircleIcon from "@patternfly/react-icons/dist/esm/icons/exclamation-circle-icon";
import InProgressIcon from "@patternfly/react-icons/dist/esm/icons/in-progress-icon";
import PauseIcon from "@patternfly/react-icons/dist/esm/icons/pause-icon";
import PlayIcon from "@patternfly/react-icons/dist/esm/icons/play-icon";
import PowerOffIcon from "@patternfly/react-icons/dist/esm/icons/power-off-icon";
import type { ReactNode } from "react";

import type { NodeState } from "../../../shared/api/types";

interface Look {
  text: string;
  color: NonNullable<LabelProps["color"]>;
  icon: ReactNode;
}

const looks: Record<NodeState, Look> = {
  running: { text: "Running", color: "green", icon: <PlayIcon /> },
  stopped: { text: "Stopped", color: "grey", icon: <PowerOffIcon /> },
  paused: { text: "Paused", color: "orange", icon: <PauseIcon /> },
  starting: { text: "Starting", color: "blue", icon: <InProgressIcon className="sl-spin" /> },
  stopping: { text: "Stopping", color: "blue", icon: <InProgressIcon className="sl-spin" /> },
  crashed: { text: "Crashed", color: "red", icon: <ExclamationCircleIcon /> },
  unreachable: { text: "Unreachable", color: "orangered", icon: <DisconnectedIcon /> },
};

/** A node's state in word, colour and sign. */
export function NodeStateLabel({ state }: { state: NodeState }) {
  const { text, color, icon } = looks[state];
  return (
    <Label color={color} icon={icon} data-state={state}>
      {text}
    </Label>
  );
}
