import { Form, FormGroup, FormSelect, FormSelectOption, FormSelectOptionGroup } from "@patternfly/react-core";
import { useState } from "react";

import type { Lab, Node } from "../../../shared/api/types";
import { type Link, nodesOf } from "../layout";
import { LabDialog } from "./LabDialog";

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

/** Draws a link without a pointer: asks for its other end. */
export function ConnectDialog({ lab, from, nodes, links, pending, error, onConnect, onClose }: ConnectDialogProps) {
  const networks = lab.networks.filter(
    ({ id, host }) => host === from.host && !links.some((link) => link.node === from.id && link.network === id),
  );
  const others = nodesOf(lab, nodes).filter(({ id, host, access }) => id !== from.id && host === from.host && access === "manage");
  const [to, setTo] = useState(networks[0]?.id ?? others[0]?.id ?? "");
  return (
    <LabDialog title={`Connect ${from.name}`} action="Connect" isReady={to !== ""} pending={pending} error={error} onClose={onClose}>
      {(formID) => (
        <Form
          id={formID}
          onSubmit={(event) => {
            event.preventDefault();
            onConnect(to);
          }}
        >
          <FormGroup label="Other end" fieldId={`${formID}-to`}>
            <FormSelect id={`${formID}-to`} value={to} autoFocus onChange={(_event, value) => setTo(value)}>
              {to === "" && <FormSelectOption value="" label="There is nothing to connect it to" isDisabled />}
              {networks.length > 0 && (
                <FormSelectOptionGroup label="Networks">
                  {networks.map(({ id, name }) => (
                    <FormSelectOption key={id} value={id} label={name} />
                  ))}
                </FormSelectOptionGroup>
              )}
              {others.length > 0 && (
                <FormSelectOptionGroup label="Nodes, by a new network">
                  {others.map(({ id, name }) => (
                    <FormSelectOption key={id} value={id} label={name} />
                  ))}
                </FormSelectOptionGroup>
              )}
            </FormSelect>
          </FormGroup>
        </Form>
      )}
    </LabDialog>
  );
}
