import { Label, type LabelProps } from "@patternfly/react-core";
import BanIcon from "@patternfly/react-icons/dist/esm/icons/ban-icon";
import CheckCircleIcon from "@patternfly/react-icons/dist/esm/icons/check-circle-icon";
import ExclamationTriangleIcon from "@patternfly/react-icons/dist/esm/icons/exclamation-triangle-icon";
import InProgressIcon from "@patternfly/react-icons/dist/esm/icons/in-progress-icon";
import PowerOffIcon from "@patternfly/react-icons/dist/esm/icons/power-off-icon";
import type { ReactNode } from "react";

import type { Link } from "./session";

interface Look {
  text: string;
  color: NonNullable<LabelProps["color"]>;
  icon: ReactNode;
}

const connecting: Look = { text: "Connecting", color: "blue", icon: <InProgressIcon className="sl-spin" /> };

const looks: Record<Link, Look> = {
  connecting,
  closed: connecting,
  open: { text: "Connected", color: "green", icon: <CheckCircleIcon /> },
  reconnecting: { text: "Reconnecting", color: "orange", icon: <InProgressIcon className="sl-spin" /> },
  off: { text: "Node is stopped", color: "grey", icon: <PowerOffIcon /> },
  refused: { text: "No display", color: "orange", icon: <ExclamationTriangleIcon /> },
  gone: { text: "Node was deleted", color: "grey", icon: <BanIcon /> },
};

/** The state of the screen as text, colour and icon. */
export function ScreenStatus({ link }: { link: Link }) {
  const { text, color, icon } = looks[link];
  return (
    <span role="status">
      <Label color={color} icon={icon} data-screen={link}>
        {text}
      </Label>
    </span>
  );
}
