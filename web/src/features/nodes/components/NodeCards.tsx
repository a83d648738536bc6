import { Card, CardBody, CardFooter, CardHeader, CardTitle } from "@patternfly/react-core";
import { Link } from "react-router";

import type { Node } from "../../../shared/api/types";
import { formatRAM, plural } from "../../../shared/format";
import { paths } from "../../../shared/paths";
import { DefinedElsewhere } from "./DefinedElsewhere";
import { NodeActions } from "./NodeActions";
import { NodeStateLabel } from "./NodeStateLabel";

/** The nodes for screens that are too narrow for a table. */
export function NodeCards({ nodes }: { nodes: readonly Node[] }) {
  return (
    <ul className="sl-cards" aria-label="Nodes">
      {nodes.map((node) => (
        <Card key={`${node.host}/${node.id}`} component="li" isCompact data-node={node.name}>
          <CardHeader actions={{ actions: <NodeStateLabel state={node.state} />, hasNoOffset: true }}>
            <CardTitle component="h2" className="sl-break">
              <Link className="sl-name" to={paths.node(node.id)}>
                {node.name}
              </Link>
            </CardTitle>
          </CardHeader>
          <CardBody className="sl-subtle sl-break">
            {[
              node.image ? node.image.name || node.image.id : "",
              formatRAM(node.resources.ram),
              plural(node.resources.cpus, "CPU"),
              ...node.addresses,
              node.host,
            ]
              .filter(Boolean)
              .join(" · ")}
            {!node.managed && <DefinedElsewhere />}
          </CardBody>
          <CardFooter>
            <NodeActions node={node} place="row" />
          </CardFooter>
        </Card>
      ))}
    </ul>
  );
}
