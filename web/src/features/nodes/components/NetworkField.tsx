import { FormSelect, FormSelectOption } from "@patternfly/react-core";

import type { Host } from "../../../shared/api/types";
import { useNetworks } from "../api/interfaces";
import { noNetwork, userNetwork } from "../spec";
import { Field } from "../../../shared/ui/Field";

interface NetworkFieldProps {
  /** The host that the node will be on; undefined while unknown. */
  host: Host | undefined;
  /** Empty for the default network of the host. */
  chosen: string;
  onChoose: (network: string) => void;
}

/** The network that a new node is connected to. */
export function NetworkField({ host, chosen, onChoose }: NetworkFieldProps) {
  const networks = useNetworks();
  const there = (networks.data ?? []).filter((network) => network.host === host?.name && network.active);
  const kind = there.find(({ name }) => name === chosen)?.kind;
  return (
    <Field
      id="network"
      label="Network"
      problem={networks.error ? "Couldn't load networks. The default network will be used." : ""}
      help={helpFor(host, chosen, kind)}
    >
      <FormSelect
        id="network"
        value={chosen}
        onChange={(_event, network) => onChoose(network)}
        aria-describedby="network-help"
      >
        <FormSelectOption value="" label={`Default (${defaultOf(host)})`} />
        {there.map(({ id, name, kind: one, subnet }) => (
          <FormSelectOption key={id} value={name} label={`${name} (${[one, subnet].filter(Boolean).join(", ")})`} />
        ))}
        {host?.userNetwork && host.network !== userNetwork && (
          <FormSelectOption value={userNetwork} label="User-mode (outbound only)" />
        )}
        <FormSelectOption value={noNetwork} label="No network" />
      </FormSelect>
    </Field>
  );
}

/** Describes the host's default network. */
function defaultOf(host: Host | undefined) {
  if (!host) {
    return "set by the host";
  }
  switch (host.network) {
    case userNetwork:
      return "user-mode, outbound only";
    case noNetwork:
      return "not available";
    default:
      return host.network;
  }
}

function helpFor(host: Host | undefined, chosen: string, kind: string | undefined) {
  if (chosen === "" && host?.network === noNetwork) {
    return "The default network of this host isn't running. Select another network, or no network.";
  }
  if (chosen === noNetwork) {
    return "The node has no network interface. You can add one later.";
  }
  return kind === "isolated" ? "Isolated: the node reaches only nodes on the same network." : "";
}
