import { lazy } from "react";
import { useParams, useSearchParams } from "react-router";

import { NodePage, type NodeTab } from "../../features/nodes/NodePage";
import { RunButton } from "../../features/nodes/components/RunButton";
import type { Node } from "../../shared/api/types";
import { Later } from "../../shared/ui/Later";

// The terminal is as large as all the rest, and the screen is no small matter.
const ConsolePane = lazy(() => import("../../features/console/ConsolePane"));
const LogPane = lazy(() => import("../../features/console/LogPane"));
const ScreenPane = lazy(() => import("../../features/screen/ScreenPane"));

/** One node's page, with its console, log and screen. */
export default function NodeRoute({ tab }: { tab: NodeTab }) {
  const { id = "" } = useParams();
  const [search, setSearch] = useSearchParams();
  const portsOf = ({ console: { ports } }: Node) => {
    const port = search.get("port") ?? ports[0]?.name ?? "";
    return { ports, port, onPort: (chosen: string) => setSearch({ port: chosen }, { replace: true }) };
  };
  return (
    <NodePage
      key={id}
      id={id}
      tab={tab}
      console={(node) => (
        <Later what="the console">
          <ConsolePane
            key={`${node.id} ${portsOf(node).port}`}
            nodeID={node.id}
            nodeName={node.name}
            {...portsOf(node)}
            whenOff={<RunButton node={node} />}
          />
        </Later>
      )}
      log={(node) => (
        <Later what="the log">
          <LogPane
            key={`${node.id} ${portsOf(node).port}`}
            nodeID={node.id}
            nodeName={node.name}
            {...portsOf(node)}
          />
        </Later>
      )}
      screen={(node) => (
        <Later what="the screen">
          <ScreenPane
            key={node.id}
            nodeID={node.id}
            nodeName={node.name}
            isRunning={node.state === "running" || node.state === "paused" || node.state === "stopping"}
            whenOff={<RunButton node={node} />}
          />
        </Later>
      )}
    />
  );
}
