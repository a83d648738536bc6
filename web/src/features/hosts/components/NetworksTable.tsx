import { Label } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";

import type { Network } from "../../../shared/api/types";

/** The networks of a host. */
export function NetworksTable({ host, networks }: { host: string; networks: readonly Network[] }) {
  return (
    <Table
      aria-label={`Networks of ${host}`}
      variant="compact"
      gridBreakPoint="grid-md"
      borders={false}
      className="sl-table"
    >
      <Thead>
        <Tr>
          <Th>Name</Th>
          <Th>Kind</Th>
          <Th>Subnet</Th>
          <Th>Nodes</Th>
          <Th>Owner</Th>
        </Tr>
      </Thead>
      <Tbody>
        {networks.map((network) => (
          <Tr key={network.id}>
            <Td dataLabel="Name" modifier="breakWord">
              {network.name}{" "}
              {!network.active && (
                <Label isCompact color="grey">
                  inactive
                </Label>
              )}
            </Td>
            <Td dataLabel="Kind">{network.kind}</Td>
            <Td dataLabel="Subnet" modifier="nowrap">
              {network.subnet ?? "–"} {network.dhcp && <span className="sl-subtle">DHCP</span>}
            </Td>
            <Td dataLabel="Nodes">{network.nodes}</Td>
            <Td dataLabel="Owner">
              {network.owner ?? (network.managed ? "–" : <span className="sl-subtle">external</span>)}
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
