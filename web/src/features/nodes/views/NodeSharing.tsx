import { Title } from "@patternfly/react-core";

import type { Node } from "../../../shared/api/types";
import { SharingPanel } from "../../../shared/sharing/SharingPanel";

/** The users and groups that a node is shared with. */
export default function NodeSharing({ node }: { node: Node }) {
  return (
    <section>
      <div className="sl-view__head">
        <Title headingLevel="h2" size="lg">
          Shared with
        </Title>
      </div>
      <p className="sl-view__note">
        {node.owner ? `${node.owner} (owner) and administrators have` : "Administrators have"} full access. Students can
        use it; viewers can only watch.
      </p>
      <SharingPanel kind="nodes" id={node.id} means={{ view: "View only", use: "Use" }} />
    </section>
  );
}
