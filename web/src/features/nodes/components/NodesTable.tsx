import { Checkbox } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { Link } from "react-router";

import type { Node } from "../../../shared/api/types";
import { formatRAM, plural } from "../../../shared/format";
import { paths } from "../../../shared/paths";
import type { MetricsByNode } from "../api/metrics";
import type { Selection } from "../useSelection";
import { UnmanagedLabel } from "./UnmanagedLabel";
import { NodeActions } from "./NodeActions";
import { NodeProblem } from "./NodeProblem";
import { NodeStateLabel } from "./NodeStateLabel";
import { NodeTags } from "./NodeTags";
import { NodeUse } from "./NodeUse";

export interface NodeListProps {
  nodes: readonly Node[];
  metrics: MetricsByNode | undefined;
  selection: Selection;
}

/** The nodes as a table, for wide screens. */
export function NodesTable({ nodes, metrics, selection }: NodeListProps) {
  const several = (values: readonly string[]) => new Set(values).size > 1;
  const hasOwners = several(nodes.map(({ owner }) => owner));
  const hasHosts = several(nodes.map(({ host }) => host));
  return (
    <Table aria-label="Nodes" variant="compact" gridBreakPoint="" className="sl-table">
      <Thead>
        <Tr>
          <Td>
            <Checkbox
              id="select-all"
              aria-label="Select all"
              isChecked={nodes.every((node) => selection.has(node))}
              onChange={(_event, selected) => selection.set(nodes, selected)}
            />
          </Td>
          <Th>Name</Th>
          <Th>State</Th>
          <Th>CPU</Th>
          <Th>Memory</Th>
          <Th>Image</Th>
          <Th>Size</Th>
          <Th>Address</Th>
          {hasOwners && <Th>Owner</Th>}
          {hasHosts && <Th>Host</Th>}
          <Th screenReaderText="Actions" />
        </Tr>
      </Thead>
      <Tbody>
        {nodes.map((node) => (
          <Tr key={`${node.host}/${node.id}`} data-node={node.name} isRowSelected={selection.has(node)}>
            <Td>
              <Checkbox
                id={`select-${node.host}-${node.id}`}
                aria-label={`Select ${node.name}`}
                isChecked={selection.has(node)}
                onChange={(_event, selected) => selection.set([node], selected)}
              />
            </Td>
            <Td dataLabel="Name" modifier="breakWord">
              <Link className="sl-name" to={paths.node(node.id)}>
                {node.name}
              </Link>
              {!node.managed && <UnmanagedLabel />}
              <NodeTags tags={node.tags} />
            </Td>
            <Td dataLabel="State">
              <NodeStateLabel node={node} /> <NodeProblem node={node} />
            </Td>
            <Td dataLabel="CPU">
              <NodeUse node={node} points={metrics?.get(node.id)} what="cpu" />
            </Td>
            <Td dataLabel="Memory">
              <NodeUse node={node} points={metrics?.get(node.id)} what="memory" />
            </Td>
            <Td dataLabel="Image" modifier="breakWord">
              {node.image ? node.image.name || node.image.id : <Nothing />}
            </Td>
            <Td dataLabel="Size" modifier="nowrap">
              {formatRAM(node.resources.ram)} · {plural(node.resources.cpus, "CPU")}
            </Td>
            <Td dataLabel="Address" modifier="nowrap">
              {node.addresses.length > 0 ? (
                node.addresses.map((address) => <div key={address}>{address}</div>)
              ) : (
                <Nothing />
              )}
            </Td>
            {hasOwners && <Td dataLabel="Owner">{node.owner || <Nothing />}</Td>}
            {hasHosts && <Td dataLabel="Host">{node.host}</Td>}
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
