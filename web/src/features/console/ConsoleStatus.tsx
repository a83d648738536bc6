import { Label, type LabelProps } from "@patternfly/react-core";
import BanIcon from "@patternfly/react-icons/dist/esm/icons/ban-icon";
import CheckCircleIcon from "@patternfly/react-icons/dist/esm/icons/check-circle-icon";
import HandPaperIcon from "@patternfly/react-icons/dist/esm/icons/hand-paper-icon";
import InProgressIcon from "@patternfly/react-icons/dist/esm/icons/in-progress-icon";
import PauseCircleIcon from "@patternfly/react-icons/dist/esm/icons/pause-circle-icon";
import PowerOffIcon from "@patternfly/react-icons/dist/esm/icons/power-off-icon";
import type { ReactNode } from "react";

import type { ConsoleState } from "./session";

type Phase = "connecting" | "gone" | "reconnecting" | "connected" | "paused" | "offline" | "taken";

interface Look {
  text: string;
  color: NonNullable<LabelProps["color"]>;
  icon: ReactNode;
}

const looks: Record<Phase, Look> = {
  connecting: { text: "Connecting", color: "blue", icon: <InProgressIcon className="sl-spin" /> },
  reconnecting: { text: "Reconnecting", color: "orange", icon: <InProgressIcon className="sl-spin" /> },
  connected: { text: "Connected", color: "green", icon: <CheckCircleIcon /> },
  paused: { text: "Node is paused", color: "grey", icon: <PauseCircleIcon /> },
  offline: { text: "Node is stopped", color: "grey", icon: <PowerOffIcon /> },
  gone: { text: "Node was deleted", color: "grey", icon: <BanIcon /> },
  taken: { text: "In use elsewhere", color: "orange", icon: <HandPaperIcon /> },
};

function phaseOf({ link, guest, paused }: ConsoleState): Phase {
  if (link === "gone" || link === "reconnecting") {
    return link;
  }
  if (link !== "open") {
    return "connecting";
  }
  if (guest === "connected" && paused) {
    return "paused";
  }
  return guest === "unknown" ? "connecting" : guest;
}

/** The state of the console as text, colour and icon. */
export function ConsoleStatus({ state }: { state: ConsoleState }) {
  const phase = phaseOf(state);
  const { text, color, icon } = looks[phase];
  return (
    <span role="status">
      <Label color={color} icon={icon} data-console={phase}>
        {text}
      </Label>
    </span>
  );
}
