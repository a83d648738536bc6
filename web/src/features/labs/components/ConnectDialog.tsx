import { FormGroup, FormSelect, FormSelectOption, FormSelectOptionGroup } from "@patternfly/react-core";
import { useId, useState } from "react";

import type { Lab, Node } from "../../../shared/api/types";
import { FormDialog } from "../../../shared/ui/FormDialog";
import { type Link, nodesOf } from "../layout";

interface ConnectDialogProps {
  lab: Lab;
  from: Node;
  nodes: readonly Node[];
  links: readonly Link[];
  pending: boolean;
  error: unknown;
  onConnect: (to: string) => void;
  onClose: () => void;
}

/** Creates a link without a pointer device: asks for the other end. */
export function ConnectDialog({ lab, from, nodes, links, pending, error, onConnect, onClose }: ConnectDialogProps) {
  const id = useId();
  const networks = lab.networks.filter(
    ({ id, host }) => host === from.host && !links.some((link) => link.node === from.id && link.network === id),
  );
  const others = nodesOf(lab, nodes).filter(
    ({ id, host, access }) => id !== from.id && host === from.host && access === "manage",
  );
  const [to, setTo] = useState(networks[0]?.id ?? others[0]?.id ?? "");
  return (
    <FormDialog
      title={`Connect ${from.name}`}
      action="Connect"
      failure="Couldn't connect"
      focus={`[id="${id}-to"]`}
      isReady={to !== ""}
      pending={pending}
      error={error}
      onSubmit={() => onConnect(to)}
      onClose={onClose}
    >
      <FormGroup label="Connect to" fieldId={`${id}-to`}>
        <FormSelect id={`${id}-to`} value={to} onChange={(_event, value) => setTo(value)}>
          {to === "" && <FormSelectOption value="" label="Nothing to connect to" isDisabled />}
          {networks.length > 0 && (
            <FormSelectOptionGroup label="Networks">
              {networks.map(({ id: its, name }) => (
                <FormSelectOption key={its} value={its} label={name} />
              ))}
            </FormSelectOptionGroup>
          )}
          {others.length > 0 && (
            <FormSelectOptionGroup label="Nodes (creates a network)">
              {others.map(({ id: its, name }) => (
                <FormSelectOption key={its} value={its} label={name} />
              ))}
            </FormSelectOptionGroup>
          )}
        </FormSelect>
      </FormGroup>
    </FormDialog>
  );
}
