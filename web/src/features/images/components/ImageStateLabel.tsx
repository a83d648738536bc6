import { Label, type LabelProps } from "@patternfly/react-core";
import BanIcon from "@patternfly/react-icons/dist/esm/icons/ban-icon";
import CheckCircleIcon from "@patternfly/react-icons/dist/esm/icons/check-circle-icon";
import ExclamationTriangleIcon from "@patternfly/react-icons/dist/esm/icons/exclamation-triangle-icon";
import InProgressIcon from "@patternfly/react-icons/dist/esm/icons/in-progress-icon";
import QuestionCircleIcon from "@patternfly/react-icons/dist/esm/icons/question-circle-icon";
import type { ReactNode } from "react";

import type { ImageState } from "../../../shared/api/types";

interface Look {
  text: string;
  color: NonNullable<LabelProps["color"]>;
  icon: ReactNode;
}

const looks: Record<ImageState, Look> = {
  ready: { text: "Ready", color: "green", icon: <CheckCircleIcon /> },
  uploading: { text: "Uploading", color: "blue", icon: <InProgressIcon className="sl-spin" /> },
  verifying: { text: "Verifying", color: "blue", icon: <InProgressIcon className="sl-spin" /> },
  unverified: { text: "Unverified", color: "orange", icon: <QuestionCircleIcon /> },
  changed: { text: "Changed", color: "orange", icon: <ExclamationTriangleIcon /> },
  rejected: { text: "Rejected", color: "red", icon: <BanIcon /> },
};

/** An image's state as text, colour and icon. */
export function ImageStateLabel({ state }: { state: ImageState }) {
  const { text, color, icon } = looks[state];
  return (
    <Label color={color} icon={icon} data-state={state}>
      {text}
    </Label>
  );
}
