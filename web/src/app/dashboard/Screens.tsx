import { Card, CardBody, CardTitle } from "@patternfly/react-core";
import { Link } from "react-router";

import { hasScreen } from "../../features/nodes/api/screenshot";
import { NodeThumbnail } from "../../features/nodes/components/NodeThumbnail";
import type { Node } from "../../shared/api/types";
import { plural } from "../../shared/format";
import { paths } from "../../shared/paths";

const shown = 12;

/** Live thumbnails of the running nodes' screens, last started first. */
export function Screens({ nodes }: { nodes: readonly Node[] }) {
  const lit = nodes.filter(hasScreen).sort((a, b) => (b.started ?? "").localeCompare(a.started ?? ""));
  if (lit.length === 0) {
    return null;
  }
  return (
    <Card>
      <CardTitle component="h2">Screens</CardTitle>
      <CardBody>
        <ul className="sl-screens">
          {lit.slice(0, shown).map((node) => (
            <li key={`${node.host}/${node.id}`}>
              <Link to={paths.screen(node.id)} data-screen-of={node.name}>
                <NodeThumbnail node={node} />
                <span className="sl-screens__name">{node.name}</span>
              </Link>
            </li>
          ))}
        </ul>
        {lit.length > shown && (
          <p className="sl-subtle sl-screens__more">
            and <Link to={paths.nodesThatAre("running")}>{plural(lit.length - shown, "more node")}</Link>
          </p>
        )}
      </CardBody>
    </Card>
  );
}
