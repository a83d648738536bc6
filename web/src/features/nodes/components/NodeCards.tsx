import { Card, CardBody, CardFooter, CardHeader, CardTitle, Checkbox } from "@patternfly/react-core";
import { Link } from "react-router";

import { formatRAM, plural } from "../../../shared/format";
import { paths } from "../../../shared/paths";
import { hasScreen } from "../api/screenshot";
import { UnmanagedLabel } from "./UnmanagedLabel";
import { NodeActions } from "./NodeActions";
import { NodeProblem } from "./NodeProblem";
import { NodeStateLabel } from "./NodeStateLabel";
import { NodeTags } from "./NodeTags";
import { NodeThumbnail } from "./NodeThumbnail";
import { NodeUse } from "./NodeUse";
import type { NodeListProps } from "./NodesTable";

/** The nodes as cards with live thumbnails of their screens. */
export function NodeCards({ nodes, metrics, selection }: NodeListProps) {
  return (
    <ul className="sl-cards" aria-label="Nodes">
      {nodes.map((node) => (
        <Card
          key={`${node.host}/${node.id}`}
          component="li"
          isCompact
          data-node={node.name}
          className={`sl-node-card${node.managed ? "" : " sl-node-card--elsewhere"}${selection.has(node) ? " sl-node-card--selected" : ""}`}
        >
          <Link
            className="sl-node-card__screen"
            to={hasScreen(node) ? paths.screen(node.id) : paths.node(node.id)}
            tabIndex={-1}
            aria-hidden
          >
            <NodeThumbnail node={node} />
          </Link>
          <CardHeader
            actions={{
              actions: [<NodeProblem key="problem" node={node} />, <NodeStateLabel key="state" node={node} />],
              hasNoOffset: true,
            }}
          >
            <CardTitle component="h2" className="sl-break">
              <span className="sl-node-card__title">
                <Checkbox
                  id={`select-${node.host}-${node.id}`}
                  aria-label={`Select ${node.name}`}
                  isChecked={selection.has(node)}
                  onChange={(_event, selected) => selection.set([node], selected)}
                />
                <Link className="sl-name" to={paths.node(node.id)}>
                  {node.name}
                </Link>
              </span>
            </CardTitle>
          </CardHeader>
          <CardBody className="sl-subtle sl-break">
            {[
              node.image ? node.image.name || node.image.id : "",
              formatRAM(node.resources.ram),
              plural(node.resources.cpus, "CPU"),
              ...node.addresses,
              node.owner,
              node.host,
            ]
              .filter(Boolean)
              .join(" · ")}
            {!node.managed && <UnmanagedLabel />}
            <NodeTags tags={node.tags} />
          </CardBody>
          <CardFooter className="sl-node-card__foot">
            <div className="sl-node-card__use">
              <NodeUse node={node} points={metrics?.get(node.id)} what="cpu" />
              <NodeUse node={node} points={metrics?.get(node.id)} what="memory" />
            </div>
            <NodeActions node={node} place="row" />
          </CardFooter>
        </Card>
      ))}
    </ul>
  );
}
