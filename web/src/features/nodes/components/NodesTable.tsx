import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { Link } from "react-router";

import type { Node } from "../../../shared/api/types";
import { formatRAM, plural } from "../../../shared/format";
import { paths } from "../../../shared/paths";
import { DefinedElsewhere } from "./DefinedElsewhere";
import { NodeActions } from "./NodeActions";
import { NodeStateLabel } from "./NodeStateLabel";

/** The nodes as a table, for wide screens. */
export function NodesTable({ nodes }: { nodes: readonly Node[] }) {
  return (
    <Table aria-label="Nodes" variant="compact" gridBreakPoint="" className="sl-table">
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
            <Td dataLabel="Address" modifier="nowrap">
              {node.addresses.length > 0
                ? node.addresses.map((address) => <div key={address}>{address}</div>)
                : <Nothing />}
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

function Nothing() {
  return (
    <>
      <span aria-hidden>–</span>
      <span className="pf-v6-screen-reader">none</span>
    </>
  );
}
