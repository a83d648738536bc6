import { FormGroup, FormSelect, FormSelectOption, List, ListItem, Radio, Skeleton } from "@patternfly/react-core";
import { useId, useState } from "react";

import { FormDialog } from "../../../shared/ui/FormDialog";
import { NameField } from "../../../shared/ui/NameField";
import { ProblemAlert } from "../../../shared/ui/ProblemAlert";
import { type Owned, useDeleteUser, useOwned, useUsers } from "../api/users";
import { ownedLines } from "../owned";

interface DeleteUserDialogProps {
  name: string;
  /** `isRunning`: a job is deleting the account. */
  onDeleted: (isRunning: boolean) => void;
  onClose: () => void;
}

/** Asks what happens to what an account owns, and deletes the account. */
export function DeleteUserDialog({ name, onDeleted, onClose }: DeleteUserDialogProps) {
  const id = useId();
  const owned = useOwned(name);
  const users = useUsers();
  const remove = useDeleteUser(name);
  const [choice, setChoice] = useState<"transfer" | "delete">("transfer");
  const [to, setTo] = useState("");
  const [typed, setTyped] = useState("");
  const lines = owned.data ? ownedLines(owned.data) : [];
  const ownsAny = lines.length > 0;
  const isReady = typed === name && owned.data !== undefined && (!ownsAny || choice === "delete" || to !== "");
  const submit = () =>
    remove.mutate(ownsAny ? { owned: choice, ...(choice === "transfer" ? { to } : {}) } : {}, {
      onSuccess: (isRunning) => onDeleted(isRunning),
    });
  return (
    <FormDialog
      title={`Delete ${name}?`}
      description="Permanently deletes the account, its API tokens and group memberships."
      action="Delete account"
      failure="Couldn't delete the account"
      focus={`[id="${id}-name"]`}
      isDanger
      isReady={isReady}
      pending={remove.isPending}
      error={remove.error}
      onSubmit={submit}
      onClose={onClose}
    >
      {owned.isPending && <Skeleton height="4rem" screenreaderText="Loading" />}
      {owned.error && (
        <ProblemAlert
          title="Couldn't load what the account owns"
          error={owned.error}
          onRetry={() => void owned.refetch()}
        />
      )}
      {ownsAny && (
        <>
          <Possessions lines={lines} owned={owned.data} />
          <FormGroup role="radiogroup" label="What happens to them" fieldId={`${id}-choice`}>
            <Radio
              id={`${id}-transfer`}
              name={`${id}-choice`}
              label="Transfer to another account"
              isChecked={choice === "transfer"}
              onChange={() => setChoice("transfer")}
            />
            <Radio
              id={`${id}-delete`}
              name={`${id}-choice`}
              label="Delete everything, with all data"
              isChecked={choice === "delete"}
              onChange={() => setChoice("delete")}
            />
          </FormGroup>
          {choice === "transfer" && (
            <FormGroup label="New owner" fieldId={`${id}-to`} isRequired>
              <FormSelect id={`${id}-to`} value={to} onChange={(_event, value) => setTo(value)}>
                <FormSelectOption value="" label="Select an account" isPlaceholder />
                {(users.data ?? [])
                  .filter((user) => user.name !== name && !user.disabled)
                  .map((user) => (
                    <FormSelectOption key={user.name} value={user.name} label={user.name} />
                  ))}
              </FormSelect>
            </FormGroup>
          )}
        </>
      )}
      <NameField id={`${id}-name`} label={`Type ${name} to confirm`} value={typed} problem="" onChange={setTyped} />
    </FormDialog>
  );
}

/** What an account owns, by kind. */
function Possessions({ lines, owned }: { lines: ReturnType<typeof ownedLines>; owned: Owned | undefined }) {
  return (
    <div>
      <p>The account owns:</p>
      <List>
        {lines.map(({ what, names }) => (
          <ListItem key={what} className="sl-break">
            {what}
            {names !== "" && <span className="sl-subtle">: {names}</span>}
          </ListItem>
        ))}
      </List>
      {owned !== undefined && owned.uploads > 0 && <p className="sl-subtle">Unfinished uploads are always deleted.</p>}
    </div>
  );
}
