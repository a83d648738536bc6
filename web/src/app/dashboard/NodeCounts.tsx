import { Link } from "react-router";

import { type NodeGroup, stateGroup } from "../../features/nodes/filter";
import type { Node } from "../../shared/api/types";
import { plural } from "../../shared/format";
import { paths } from "../../shared/paths";

const groups: readonly { group: NodeGroup; text: string }[] = [
  { group: "running", text: "Running" },
  { group: "stopped", text: "Stopped" },
  { group: "other", text: "Paused or failed" },
];

/** The number of nodes in each state, as a bar and as links to those nodes. */
export function NodeCounts({ nodes }: { nodes: readonly Node[] }) {
  const counts = groups.map(({ group, text }) => ({
    group,
    text,
    count: nodes.filter((node) => stateGroup(node) === group).length,
  }));
  const foreign = nodes.filter(({ managed }) => !managed).length;
  return (
    <>
      <Link className="sl-counts__total" to={paths.nodes}>
        <b>{nodes.length}</b> {nodes.length === 1 ? "node" : "nodes"}
      </Link>
      <div className="sl-counts__bar" aria-hidden>
        {counts
          .filter(({ count }) => count > 0)
          .map(({ group, count }) => (
            <span key={group} data-group={group} style={{ flexGrow: count }} />
          ))}
      </div>
      <ul className="sl-counts">
        {counts
          .filter(({ group, count }) => group !== "other" || count > 0)
          .map(({ group, text, count }) => (
            <li key={group}>
              <span className="sl-counts__dot" data-group={group} aria-hidden />
              <Link to={paths.nodesThatAre(group)}>{text}</Link>
              <b data-count={group}>{count}</b>
            </li>
          ))}
      </ul>
      {foreign > 0 && (
        <p className="sl-subtle sl-counts__note">
          {plural(foreign, "node")} {foreign === 1 ? "was" : "were"} created outside SandboxLabs.
        </p>
      )}
    </>
  );
}
