import { Bullseye, Spinner } from "@patternfly/react-core";
import { useParams } from "react-router";

import { useNode } from "../../features/nodes/api/getNode";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { usePageTitle } from "../../shared/usePageTitle";
import { LiveUpdates } from "../LiveUpdates";
import { NodePane } from "./NodePane";

/** Only the console or the screen of a node, for a separate window. */
export default function NodeWindow({ pane }: { pane: "console" | "screen" }) {
  const { id = "" } = useParams();
  const query = useNode(id);
  const node = query.data;
  const title = `${pane === "console" ? "Console" : "Screen"} of ${node?.name ?? "a node"}`;
  usePageTitle(title);
  return (
    <main className="sl-window">
      <h1 className="pf-v6-screen-reader">{title}</h1>
      <LiveUpdates />
      {node && <NodePane key={id} node={node} pane={pane} isAlone />}
      {node === null && (
        <ProblemAlert title="Node not found" error={new Error("It may have been deleted. Close this window.")} />
      )}
      {query.error && (
        <ProblemAlert title="Couldn't load the node" error={query.error} onRetry={() => void query.refetch()} />
      )}
      {query.isPending && (
        <Bullseye>
          <Spinner aria-label="Loading the node" />
        </Bullseye>
      )}
    </main>
  );
}
