import { FormGroup, FormSelect, FormSelectOption, StackItem } from "@patternfly/react-core";
import { useId, useState } from "react";

import { serviceURL } from "../../../shared/base";
import { FormDialog } from "../../../shared/ui/FormDialog";
import { NameField } from "../../../shared/ui/NameField";
import { SecretDialog } from "../../../shared/ui/SecretDialog";
import { expiryOf, lifetimes, tokenNameProblem } from "../account";
import { useCreateToken } from "../api/tokens";

/** Creates a token, then shows its secret until the dialog is closed. */
export function NewTokenDialog({ onClose }: { onClose: () => void }) {
  const id = useId();
  const [name, setName] = useState("");
  const [days, setDays] = useState(90);
  const create = useCreateToken();
  const problem = tokenNameProblem(name);
  const submit = () => {
    const expires = expiryOf(days, Date.now());
    create.mutate({ name: name.trim(), ...(expires === undefined ? {} : { expires }) });
  };
  if (create.data?.secret !== undefined) {
    return (
      <SecretDialog
        title={`Token "${create.data.name}" created`}
        warning="Copy it now; you won't see it again. Anyone who has it can act as you."
        secret={create.data.secret}
        copyLabel="Copy secret"
        onClose={onClose}
      >
        <StackItem className="sl-subtle sl-break">
          <code>curl -H &quot;Authorization: Bearer $SANDBOXLABS_TOKEN&quot; {serviceURL()}/api/nodes</code>
        </StackItem>
      </SecretDialog>
    );
  }
  return (
    <FormDialog
      title="New API token"
      action="Create token"
      failure="Couldn't create the token"
      focus={`[id="${id}-name"]`}
      isReady={problem === ""}
      pending={create.isPending}
      error={create.error}
      onSubmit={submit}
      onClose={onClose}
    >
      <NameField
        id={`${id}-name`}
        value={name}
        problem={name === "" ? "" : problem}
        help="For example, the script that uses it."
        placeholder="ci"
        onChange={setName}
      />
      <FormGroup label="Expires after" fieldId={`${id}-days`}>
        <FormSelect id={`${id}-days`} value={days} onChange={(_event, value) => setDays(Number(value))}>
          {lifetimes.map((lifetime) => (
            <FormSelectOption key={lifetime.days} value={lifetime.days} label={lifetime.text} />
          ))}
        </FormSelect>
      </FormGroup>
    </FormDialog>
  );
}
