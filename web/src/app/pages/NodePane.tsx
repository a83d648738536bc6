import ExternalLinkAltIcon from "@patternfly/react-icons/dist/esm/icons/external-link-alt-icon";
import { lazy } from "react";
import { useSearchParams } from "react-router";

import { atBase } from "../../shared/base";
import { StartButton } from "../../features/nodes/components/StartButton";
import type { PaneTab } from "../../features/nodes/tabs";
import type { Node } from "../../shared/api/types";
import { paths } from "../../shared/paths";
import { Later } from "../../shared/ui/Later";
import { ToolButton } from "../../shared/ui/ToolButton";
import "./NodePane.css";

// The terminal is as large as the rest of the code, and the screen is large too.
const ConsolePane = lazy(() => import("../../features/console/ConsolePane"));
const LogPane = lazy(() => import("../../features/console/LogPane"));
const ScreenPane = lazy(() => import("../../features/screen/ScreenPane"));

interface NodePaneProps {
  node: Node;
  pane: PaneTab;
  /** Whether it is already in a separate window. */
  isAlone?: boolean;
}

/** A node's console, screen, both side by side, or log. It fills its container. */
export function NodePane({ node, pane, isAlone = false }: NodePaneProps) {
  const [search, setSearch] = useSearchParams();
  const { ports } = node.console;
  const port = search.get("port") ?? ports[0]?.name ?? "";
  const ofPort = {
    nodeID: node.id,
    nodeName: node.name,
    ports,
    port,
    onPort: (chosen: string) => setSearch({ port: chosen }, { replace: true }),
  };
  const mayType = node.access !== "view";
  const tools = (what: "console" | "screen") =>
    isAlone ? null : <OwnWindow node={node} pane={what} search={search} />;
  const drawConsole = () => (
    <Later what="the console">
      <ConsolePane
        key={`${node.id} ${port}`}
        {...ofPort}
        mayType={mayType}
        whenOff={<StartButton node={node} />}
        tools={tools("console")}
      />
    </Later>
  );
  const drawScreen = () => (
    <Later what="the screen">
      <ScreenPane
        key={node.id}
        nodeID={node.id}
        nodeName={node.name}
        isRunning={node.state === "running" || node.state === "paused" || node.state === "stopping"}
        mayType={mayType}
        whenOff={<StartButton node={node} />}
        tools={tools("screen")}
      />
    </Later>
  );
  switch (pane) {
    case "console":
      return drawConsole();
    case "screen":
      return drawScreen();
    case "both":
      return (
        <div className="sl-both">
          {drawConsole()}
          {drawScreen()}
        </div>
      );
    case "log":
      return (
        <Later what="the log">
          <LogPane key={`${node.id} ${port}`} {...ofPort} />
        </Later>
      );
  }
}

/** Opens the console or the screen in a separate window; the page stays open. */
function OwnWindow({ node, pane, search }: { node: Node; pane: "console" | "screen"; search: URLSearchParams }) {
  const label = "Open in new window";
  const address = `${paths.window(node.id, pane)}?${pane === "console" ? search.toString() : ""}`.replace(/\?$/, "");
  return (
    <ToolButton
      label={label}
      icon={<ExternalLinkAltIcon />}
      onClick={() => void window.open(atBase(address), `sandboxlabs-${pane}-${node.id}`, "popup,width=1024,height=720")}
    />
  );
}
