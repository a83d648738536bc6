import { ExpandableSection } from "@patternfly/react-core";
import { useId, useState } from "react";

import type { Account } from "../../../shared/api/types";
import { FormDialog } from "../../../shared/ui/FormDialog";
import { NameField } from "../../../shared/ui/NameField";
import { SecretDialog } from "../../../shared/ui/SecretDialog";
import { handOver, nameProblem } from "../account";
import { useCreateUser } from "../api/users";
import { boundNames, boundProblem, draftOf, quotaOf } from "../quota";
import { QuotaFields } from "./QuotaFields";
import { RoleSelect } from "./RoleSelect";

/** Creates an account, then shows the generated password until the dialog is closed. */
export function NewUserDialog({ taken, onClose }: { taken: readonly string[]; onClose: () => void }) {
  const id = useId();
  const [name, setName] = useState("");
  const [role, setRole] = useState<Account["role"]>("student");
  const [quota, setQuota] = useState(draftOf(undefined));
  const create = useCreateUser();
  const problem = nameProblem(name.trim(), taken);
  const made = create.data;
  if (made) {
    return (
      <SecretDialog
        title={`Password for ${made.name}`}
        warning={handOver(made.name)}
        secret={made.password ?? ""}
        copyLabel="Copy password"
        onClose={onClose}
      />
    );
  }
  return (
    <FormDialog
      title="New user"
      action="Create user"
      failure="Couldn't create user"
      focus={`[id="${id}-name"]`}
      isReady={problem === "" && boundNames.every((bound) => boundProblem(bound, quota[bound]) === "")}
      pending={create.isPending}
      error={create.error}
      onSubmit={() => create.mutate({ name: name.trim(), role, quota: quotaOf(quota) })}
      onClose={onClose}
    >
      <NameField
        id={`${id}-name`}
        value={name}
        problem={name === "" ? "" : problem}
        help="Used to sign in. Can't be changed later."
        onChange={setName}
      />
      <RoleSelect id={`${id}-role`} role={role} onChange={setRole} />
      <ExpandableSection toggleText="Quota" isIndented>
        <QuotaFields draft={quota} onChange={setQuota} />
      </ExpandableSection>
    </FormDialog>
  );
}
