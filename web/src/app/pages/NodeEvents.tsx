import { Label } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";

import { useNodeAudit } from "../../features/nodes/api/nodeAudit";
import { ViewState } from "../../features/nodes/components/ViewState";
import type { AuditEntry, Node } from "../../shared/api/types";
import { Ago } from "../../shared/ui/Ago";
import { happeningsOf, useActivity } from "../activity";

interface NodeEventsProps {
  node: Node;
  /** Whether the user may read the audit log. */
  hasAudit: boolean;
}

interface Line {
  key: string;
  at: number;
  what: string;
  /** Who did it, and how they signed in; empty for events that only this page saw. */
  who: string;
  via: string;
  /** Error code if it was denied, otherwise empty. */
  code: string;
}

/** Events of a node: from the audit log for administrators, from this page's event stream for others. */
export function NodeEvents({ node, hasAudit }: NodeEventsProps) {
  const audit = useNodeAudit(node.id, hasAudit);
  const seen = useActivity().filter(({ id }) => id === node.id);
  const lines: Line[] = [
    ...[...seen, ...happeningsOf([node], [])].map(({ at, what }) => ({
      key: `${at} ${what}`,
      at,
      what: `The node ${what}`,
      who: "",
      via: "",
      code: "",
    })),
    ...(audit.data ?? []).map(lineOf),
  ].sort((a, b) => b.at - a.at);
  return (
    <div className="sl-events">
      {hasAudit && <ViewState what="the audit log" query={audit} />}
      {lines.length === 0 && <p className="sl-subtle">No events since you opened this page.</p>}
      {lines.length > 0 && (
        <div className="sl-scroll">
          <Table aria-label="Events" variant="compact" gridBreakPoint="" className="sl-table">
            <Thead>
              <Tr>
                <Th>When</Th>
                <Th>What</Th>
                {hasAudit && <Th>Who</Th>}
              </Tr>
            </Thead>
            <Tbody>
              {lines.map(({ key, at, what, who, via, code }) => (
                <Tr key={key}>
                  <Td dataLabel="When" modifier="nowrap">
                    <Ago time={new Date(at).toISOString()} />
                  </Td>
                  <Td dataLabel="What">
                    {what}{" "}
                    {code && (
                      <Label isCompact color="orange">
                        refused: {code}
                      </Label>
                    )}
                  </Td>
                  {hasAudit && (
                    <Td dataLabel="Who">
                      {who} {via && <span className="sl-subtle">by {via}</span>}
                    </Td>
                  )}
                </Tr>
              ))}
            </Tbody>
          </Table>
        </div>
      )}
      {!hasAudit && (
        <p className="sl-subtle">Events since you opened this page. Administrators can see the full history.</p>
      )}
    </div>
  );
}

/** Formats an audit entry: "run-node" becomes "Run node". */
function lineOf({ id, time, action, user, via, code, detail }: AuditEntry): Line {
  const words = action.replaceAll("-", " ");
  return {
    key: String(id),
    at: Date.parse(time),
    what: `${words.charAt(0).toUpperCase()}${words.slice(1)}${detail ? ` (${detail})` : ""}`,
    who: user,
    via,
    code: code ?? "",
  };
}
