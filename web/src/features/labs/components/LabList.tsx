import { Button, DropdownItem, Label, LabelGroup, Title } from "@patternfly/react-core";
import EllipsisVIcon from "@patternfly/react-icons/dist/esm/icons/ellipsis-v-icon";
import NetworkIcon from "@patternfly/react-icons/dist/esm/icons/network-icon";
import type { ReactNode } from "react";
import { Link } from "react-router";

import type { Lab, LabNetwork, Node } from "../../../shared/api/types";
import { plural } from "../../../shared/format";
import { paths } from "../../../shared/paths";
import { Menu } from "../../../shared/ui/Menu";
import type { Link as LabLink } from "../layout";

export interface LabListProps {
  lab: Lab;
  nodes: readonly Node[];
  links: readonly LabLink[];
  chosen: ReadonlySet<string>;
  editable: boolean;
  stateOf: (node: Node) => ReactNode;
  onChoose: (id: string, isChosen: boolean) => void;
  onRun: (node: Node) => void;
  onStop: (node: Node) => void;
  onConnect: (node: Node) => void;
  onUnlink: (node: Node, network: LabNetwork) => void;
  onTakeOut: (node: Node) => void;
  onDeleteNetwork: (network: LabNetwork) => void;
}

/** The contents of the canvas as a list with the same actions. */
export function LabList(props: LabListProps) {
  const { lab, nodes, links, chosen, editable, stateOf, onChoose } = props;
  const networksOf = (node: Node) =>
    lab.networks.filter((network) => links.some((link) => link.node === node.id && link.network === network.id));
  return (
    <div className="sl-lablist">
      <section aria-label="Nodes of the lab">
        <Title headingLevel="h2" size="md">
          {plural(nodes.length, "node")}
        </Title>
        <ul>
          {nodes.map((node) => (
            <li key={node.id} data-lab-node={node.name} aria-current={chosen.has(node.id) || undefined}>
              <div className="sl-lablist__row">
                <Link
                  className="sl-lablist__name"
                  to={paths.node(node.id)}
                  onFocus={() => onChoose(node.id, true)}
                  onBlur={() => onChoose(node.id, false)}
                >
                  {node.name}
                </Link>
                {stateOf(node)}
                <NodeMenu {...props} node={node} />
              </div>
              <div className="sl-subtle sl-break">
                {[node.image?.name || node.osType, ...node.addresses].filter(Boolean).join(" · ")}
              </div>
              {networksOf(node).length > 0 && (
                <LabelGroup aria-label={`Networks of ${node.name}`} numLabels={8} className="sl-lablist__links">
                  {networksOf(node).map((network) => (
                    <Label
                      key={network.id}
                      isCompact
                      variant="outline"
                      icon={<NetworkIcon />}
                      {...(editable && node.access === "manage"
                        ? {
                            onClose: () => props.onUnlink(node, network),
                            closeBtnAriaLabel: `Remove the link from ${node.name} to ${network.name}`,
                          }
                        : {})}
                    >
                      {network.name}
                    </Label>
                  ))}
                </LabelGroup>
              )}
            </li>
          ))}
        </ul>
      </section>
      <section aria-label="Networks of the lab">
        <Title headingLevel="h2" size="md">
          {plural(lab.networks.length, "network")}
        </Title>
        <ul>
          {lab.networks.map((network) => (
            <li key={network.id} data-lab-network={network.name} aria-current={chosen.has(network.id) || undefined}>
              <div className="sl-lablist__row">
                <b className="sl-lablist__name">{network.name}</b>
                {editable && (
                  <Button
                    variant="link"
                    isInline
                    size="sm"
                    aria-label={`Delete network ${network.name}`}
                    onClick={() => props.onDeleteNetwork(network)}
                  >
                    Delete
                  </Button>
                )}
              </div>
              <div className="sl-subtle">
                {[
                  network.active ? (network.subnet ?? "no DHCP") : "inactive",
                  plural(links.filter((link) => link.network === network.id).length, "node"),
                  network.host,
                ].join(" · ")}
              </div>
            </li>
          ))}
        </ul>
        {lab.networks.length === 0 && (
          <p className="sl-subtle">Connecting two nodes creates an isolated network between them.</p>
        )}
      </section>
    </div>
  );
}

function NodeMenu({ node, editable, onRun, onStop, onConnect, onTakeOut }: LabListProps & { node: Node }) {
  const mayUse = node.access !== "view";
  return (
    <Menu label={`Actions for ${node.name}`} icon={<EllipsisVIcon />}>
      {mayUse && node.state === "stopped" && <DropdownItem onClick={() => onRun(node)}>Start</DropdownItem>}
      {mayUse && node.state === "running" && <DropdownItem onClick={() => onStop(node)}>Stop</DropdownItem>}
      <DropdownItem component={(item: object) => <Link {...item} to={paths.console(node.id)} />}>
        Open console
      </DropdownItem>
      <DropdownItem component={(item: object) => <Link {...item} to={paths.node(node.id)} />}>View node</DropdownItem>
      {editable && node.access === "manage" && <DropdownItem onClick={() => onConnect(node)}>Connect to…</DropdownItem>}
      {editable && <DropdownItem onClick={() => onTakeOut(node)}>Remove from lab</DropdownItem>}
    </Menu>
  );
}
