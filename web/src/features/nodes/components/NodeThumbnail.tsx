import DesktopIcon from "@patternfly/react-icons/dist/esm/icons/desktop-icon";
import PowerOffIcon from "@patternfly/react-icons/dist/esm/icons/power-off-icon";
import { useRef } from "react";

import type { Node } from "../../../shared/api/types";
import { useIsSeen } from "../../../shared/useIsSeen";
import { hasScreen, useScreenshot } from "../api/screenshot";
import "./NodeThumbnail.css";

/** A live thumbnail of a node's screen, or an icon while there is none. It is decorative: show the node's name next to it. */
export function NodeThumbnail({ node }: { node: Node }) {
  const frame = useRef<HTMLDivElement>(null);
  const picture = useScreenshot(node, useIsSeen(frame));
  return (
    <div className="sl-thumbnail" ref={frame} data-thumbnail={picture ? "shown" : hasScreen(node) ? "awaited" : "none"}>
      {picture ? (
        <img src={picture} alt="" className={node.state === "paused" ? "sl-thumbnail__still" : ""} />
      ) : hasScreen(node) || node.state === "running" ? (
        <DesktopIcon />
      ) : (
        <PowerOffIcon />
      )}
    </div>
  );
}
