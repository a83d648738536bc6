import { Title } from "@patternfly/react-core";

import type { Node } from "../../../shared/api/types";
import { SharingPanel } from "../../../shared/sharing/SharingPanel";

/** With whom a node is shared, and what they may do. */
export default function NodeSharing({ node }: { node: Node }) {
  return (
    <section>
      <div className="sl-view__head">
        <Title headingLevel="h2" size="lg">
          Shared with
        </Title>
      </div>
      <p className="sl-view__note">
        {node.owner ? `${node.owner}, who owns it, and administrators` : "Administrators"} do all that there is to do with it.
        Students work in it at most, viewers watch.
      </p>
      <SharingPanel kind="nodes" id={node.id} means={{ view: "watch its console and screen", use: "work in it" }} />
    </section>
  );
}
