import { Button, EmptyState, EmptyStateBody, FormSelect, FormSelectOption, Label, Title } from "@patternfly/react-core";
import NetworkIcon from "@patternfly/react-icons/dist/esm/icons/network-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useState } from "react";

import type { Interface, Network, Node } from "../../../shared/api/types";
import { ConfirmDialog } from "../../../shared/ui/ConfirmDialog";
import { CopyButton } from "../../../shared/ui/CopyButton";
import { useToasts } from "../../../shared/ui/toasts";
import { useChangeInterfaces, useInterfaces, useNetworks } from "../api/interfaces";
import { ViewState } from "../components/ViewState";

interface NodeNetworksProps {
  node: Node;
  /** Whether the user's role lets them see the networks. */
  mayListNetworks: boolean;
}

/** A node's network interfaces, which can be added and removed also while it runs. */
export default function NodeNetworks({ node, mayListNetworks }: NodeNetworksProps) {
  const cards = useInterfaces(node.id);
  const networks = useNetworks(mayListNetworks);
  const [disconnecting, setDisconnecting] = useState<Interface | null>(null);
  const mayChange = node.access === "manage" && node.managed;
  return (
    <section>
      <div className="sl-view__head">
        <Title headingLevel="h2" size="lg">
          Network interfaces
        </Title>
        {mayChange && networks.data && (
          <Connect node={node} networks={networks.data.filter(({ host, active }) => host === node.host && active)} />
        )}
      </div>
      <ViewState what="the network interfaces" query={cards} />
      {cards.data?.length === 0 && (
        <EmptyState variant="sm" headingLevel="h3" icon={NetworkIcon} titleText="No network interfaces">
          <EmptyStateBody>Not connected to any network.</EmptyStateBody>
        </EmptyState>
      )}
      {cards.data && cards.data.length > 0 && (
        <div className="sl-scroll">
          <Table aria-label="Network interfaces" variant="compact" gridBreakPoint="grid-md" className="sl-table">
            <Thead>
              <Tr>
                <Th>Network</Th>
                <Th>MAC address</Th>
                <Th>Model</Th>
                <Th screenReaderText="Actions" />
              </Tr>
            </Thead>
            <Tbody>
              {cards.data.map((card) => (
                <Tr key={card.mac} data-card={card.network ?? card.kind}>
                  <Td dataLabel="Network">
                    {/* A single element, because on phones each element becomes a separate cell. */}
                    <span>
                      <b>{nameOf(card)}</b>{" "}
                      <NetworkKind
                        network={networks.data?.find(({ name, host }) => name === card.network && host === node.host)}
                      />
                    </span>
                  </Td>
                  <Td dataLabel="MAC address" modifier="nowrap">
                    <span>
                      <code>{card.mac}</code> <CopyButton text={card.mac} label={`Copy the MAC address ${card.mac}`} />
                    </span>
                  </Td>
                  <Td dataLabel="Model">{card.model}</Td>
                  <Td isActionCell>
                    {mayChange && (
                      <Button
                        size="sm"
                        variant="secondary"
                        aria-label={`Disconnect from ${nameOf(card)}, ${card.mac}`}
                        onClick={() => setDisconnecting(card)}
                      >
                        Disconnect…
                      </Button>
                    )}
                  </Td>
                </Tr>
              ))}
            </Tbody>
          </Table>
        </div>
      )}
      {disconnecting && <Disconnect node={node} card={disconnecting} onClose={() => setDisconnecting(null)} />}
    </section>
  );
}

function nameOf({ kind, network }: Interface): string {
  return network ?? (kind === "user" ? "User-mode network" : kind);
}

function NetworkKind({ network }: { network: Network | undefined }) {
  return network ? (
    <Label isCompact {...(network.kind === "isolated" ? { color: "purple" as const } : {})}>
      {network.kind}
      {network.subnet ? `, ${network.subnet}` : ""}
    </Label>
  ) : null;
}

/** Connects a node to the selected network. */
function Connect({ node, networks }: { node: Node; networks: readonly Network[] }) {
  const [chosen, setChosen] = useState("");
  const change = useChangeInterfaces(node.id);
  const toasts = useToasts();
  const network = chosen || (networks[0]?.name ?? "");
  if (network === "") {
    return <span className="sl-subtle">Host {node.host} has no network to connect to.</span>;
  }
  return (
    <div className="sl-inline-form">
      <FormSelect aria-label="Network" value={network} onChange={(_event, name) => setChosen(name)}>
        {networks.map(({ name, kind }) => (
          <FormSelectOption key={name} value={name} label={`${name} (${kind})`} />
        ))}
      </FormSelect>
      <Button
        variant="secondary"
        isLoading={change.isPending}
        isDisabled={change.isPending}
        onClick={() =>
          change.mutate(
            { do: "plug", network },
            {
              onSuccess: () => toasts.success(`Connected to ${network}`),
              onError: (error) => toasts.failure("Couldn't connect", error),
            },
          )
        }
      >
        Connect
      </Button>
    </div>
  );
}

function Disconnect({ node, card, onClose }: { node: Node; card: Interface; onClose: () => void }) {
  const change = useChangeInterfaces(node.id);
  const confirm = async () => {
    try {
      await change.mutateAsync({ do: "unplug", mac: card.mac });
    } catch {
      return; // the dialog shows why
    }
    onClose();
  };
  return (
    <ConfirmDialog
      title={`Disconnect from ${nameOf(card)}?`}
      action="Disconnect"
      pending={change.isPending}
      error={change.error}
      onConfirm={() => void confirm()}
      onClose={onClose}
    >
      Connections through this interface will drop. A new interface gets a different MAC address.
    </ConfirmDialog>
  );
}
