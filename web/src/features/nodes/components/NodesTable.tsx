import { Content, Label, Tooltip } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { Link } from "react-router";

import type { Node } from "../../../shared/api/types";
import { formatRAM, plural } from "../../../shared/format";
import { paths } from "../../../shared/paths";
import { NodeActions } from "./NodeActions";
import { NodeStateLabel } from "./NodeStateLabel";

/** The nodes as a table; on a narrow screen each row becomes a card. */
export function NodesTable({ nodes }: { nodes: readonly Node[] }) {
  return (
    <Table aria-label="Nodes" variant="compact" gridBreakPoint="grid-lg" className="sl-table">
      <Thead>
        <Tr>
          <Th>Name</Th>
          <Th>State</Th>
          <Th>Image</Th>
          <Th>Size</Th>
          <Th>Address</Th>
          <Th>Host</Th>
          <Th screenReaderText="Actions" />
        </Tr>
      </Thead>
      <Tbody>
        {nodes.map((node) => (
          <Tr key={`${node.host}/${node.id}`} data-node={node.name}>
            <Td dataLabel="Name" modifier="breakWord">
              <Link className="sl-name" to={paths.node(node.id)}>
                {node.name}
              </Link>
              {!node.managed && <DefinedElsewhere />}
            </Td>
            <Td dataLabel="State">
              <NodeStateLabel state={node.state} />
            </Td>
            <Td dataLabel="Image" modifier="breakWord">
              {node.image ? node.image.name || node.image.id : <Nothing />}
            </Td>
            <Td dataLabel="Size" modifier="nowrap">
              {formatRAM(node.resources.ram)} · {plural(node.resources.cpus, "CPU")}
            </Td>
            <Td dataLabel="Address" modifier="breakWord">
              {node.addresses?.length ? node.addresses.join(", ") : <Nothing />}
            </Td>
            <Td dataLabel="Host">{node.host}</Td>
            <Td isActionCell>
              <NodeActions node={node} place="row" />
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}

/** Marks a node that was defined by another tool, such as virsh. */
export function DefinedElsewhere() {
  return (
    <Tooltip content="Another tool, such as virsh, defined this node. Adopt it to let SandboxLabs wipe or delete it.">
      <Label isCompact variant="outline" className="sl-elsewhere" tabIndex={0}>
        defined elsewhere
      </Label>
    </Tooltip>
  );
}

function Nothing() {
  return (
    <Content component="small">
      <span aria-label="none">–</span>
    </Content>
  );
}
