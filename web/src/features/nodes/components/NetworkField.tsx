import { FormSelect, FormSelectOption } from "@patternfly/react-core";

import type { Host } from "../../../shared/api/types";
import { useNetworks } from "../api/interfaces";
import { userNetwork } from "../spec";
import { Field } from "../../../shared/ui/Field";

interface NetworkFieldProps {
  /** The host that the node will be on; undefined while it is not known. */
  host: Host | undefined;
  /** Empty for the usual network of the host. */
  chosen: string;
  onChoose: (network: string) => void;
}

/** The network that a new node is connected to. */
export function NetworkField({ host, chosen, onChoose }: NetworkFieldProps) {
  const networks = useNetworks();
  const there = (networks.data ?? []).filter((network) => network.host === host?.name && network.active);
  const usual = host?.network === "default" ? "default" : "user-mode: out through the host, not in";
  const kind = there.find(({ name }) => name === chosen)?.kind;
  return (
    <Field
      id="network"
      label="Network"
      problem={networks.error ? "The networks cannot be listed: the node gets the usual one." : ""}
      help={kind === "isolated" ? "Isolated: it reaches the nodes on the same network, and nothing else." : ""}
    >
      <FormSelect id="network" value={chosen} onChange={(_event, network) => onChoose(network)} aria-describedby="network-help">
        <FormSelectOption value="" label={`The usual one (${usual})`} />
        {there.map(({ id, name, kind: one, subnet }) => (
          <FormSelectOption key={id} value={name} label={`${name} (${[one, subnet].filter(Boolean).join(", ")})`} />
        ))}
        {host?.network === "default" && <FormSelectOption value={userNetwork} label="User-mode (out through the host, not in)" />}
      </FormSelect>
    </Field>
  );
}
