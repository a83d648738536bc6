import {
  Button,
  ExpandableSection,
  Form,
  FormGroup,
  FormHelperText,
  HelperText,
  HelperTextItem,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
  TextInput,
} from "@patternfly/react-core";
import { useId, useState } from "react";

import type { Account } from "../../../shared/api/types";
import { ProblemAlert } from "../../../shared/ui/ProblemAlert";
import { nameProblem } from "../account";
import { useCreateUser } from "../api/users";
import { boundNames, boundProblem, draftOf, quotaOf } from "../quota";
import { QuotaFields } from "./QuotaFields";
import { RoleSelect } from "./RoleSelect";
import { Secret } from "./Secret";

/** Makes an account, and then shows the password that the service made up until it is closed. */
export function NewUserDialog({ taken, onClose }: { taken: readonly string[]; onClose: () => void }) {
  const id = useId();
  const [name, setName] = useState("");
  const [role, setRole] = useState<Account["role"]>("student");
  const [quota, setQuota] = useState(draftOf(undefined));
  const create = useCreateUser();
  const problem = nameProblem(name.trim(), taken);
  const isReady = problem === "" && boundNames.every((bound) => boundProblem(bound, quota[bound]) === "");
  const submit = () => {
    if (isReady && !create.isPending) {
      create.mutate({ name: name.trim(), role, quota: quotaOf(quota) });
    }
  };
  const made = create.data;
  return (
    <Modal
      isOpen
      variant="small"
      aria-labelledby={`${id}-title`}
      elementToFocus={`[id="${id}-name"]`}
      {...(made ? {} : { onClose })}
    >
      <ModalHeader title={made ? `The password of ${made.name}` : "New user"} labelId={`${id}-title`} />
      <ModalBody>
        {made ? (
          <Secret password={made.password ?? ""} name={made.name} />
        ) : (
          <Form
            id={`${id}-form`}
            onSubmit={(event) => {
              event.preventDefault();
              submit();
            }}
          >
            {create.error && <ProblemAlert title="The user was not made" error={create.error} />}
            <FormGroup label="Name" fieldId={`${id}-name`} isRequired>
              <TextInput
                id={`${id}-name`}
                value={name}
                autoComplete="off"
                autoCapitalize="off"
                spellCheck={false}
                validated={problem !== "" && name !== "" ? "error" : "default"}
                aria-describedby={`${id}-help`}
                onChange={(_event, value) => setName(value)}
              />
              <FormHelperText>
                <HelperText id={`${id}-help`} isLiveRegion>
                  <HelperTextItem variant={problem !== "" && name !== "" ? "error" : "default"}>
                    {problem !== "" && name !== "" ? problem : "For signing in. It cannot be changed later."}
                  </HelperTextItem>
                </HelperText>
              </FormHelperText>
            </FormGroup>
            <RoleSelect id={`${id}-role`} role={role} onChange={setRole} />
            <ExpandableSection toggleText="Quota" isIndented>
              <QuotaFields draft={quota} onChange={setQuota} />
            </ExpandableSection>
          </Form>
        )}
      </ModalBody>
      <ModalFooter>
        {made ? (
          <Button onClick={onClose}>Done</Button>
        ) : (
          <>
            <Button
              type="submit"
              form={`${id}-form`}
              isDisabled={!isReady || create.isPending}
              isLoading={create.isPending}
            >
              Create user
            </Button>
            <Button variant="link" onClick={onClose}>
              Cancel
            </Button>
          </>
        )}
      </ModalFooter>
    </Modal>
  );
}
