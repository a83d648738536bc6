import {
  Alert,
  Button,
  CodeBlock,
  CodeBlockAction,
  CodeBlockCode,
  Form,
  FormGroup,
  FormHelperText,
  FormSelect,
  FormSelectOption,
  HelperText,
  HelperTextItem,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
  Stack,
  StackItem,
  TextInput,
} from "@patternfly/react-core";
import { useId, useState } from "react";

import { CopyButton } from "../../../shared/ui/CopyButton";
import { ProblemAlert } from "../../../shared/ui/ProblemAlert";
import { expiryOf, lifetimes, tokenNameProblem } from "../account";
import { useCreateToken } from "../api/tokens";

/** Makes a token, and then shows its secret until it is closed. */
export function NewTokenDialog({ onClose }: { onClose: () => void }) {
  const id = useId();
  const [name, setName] = useState("");
  const [days, setDays] = useState(90);
  const create = useCreateToken();
  const problem = tokenNameProblem(name);
  const secret = create.data?.secret;
  const submit = () => {
    if (problem !== "" || create.isPending) {
      return;
    }
    const expires = expiryOf(days, Date.now());
    create.mutate({ name: name.trim(), ...(expires === undefined ? {} : { expires }) });
  };
  return (
    <Modal
      isOpen
      variant="small"
      aria-labelledby={`${id}-title`}
      elementToFocus={`[id="${id}-name"]`}
      {...(secret === undefined ? { onClose } : {})}
    >
      <ModalHeader
        title={secret === undefined ? "New API token" : `The secret of ${create.data?.name ?? ""}`}
        labelId={`${id}-title`}
      />
      <ModalBody>
        {secret === undefined ? (
          <Form
            onSubmit={(event) => {
              event.preventDefault();
              submit();
            }}
          >
            {create.error && <ProblemAlert title="The token was not made" error={create.error} />}
            <FormGroup label="Name" fieldId={`${id}-name`} isRequired>
              <TextInput
                id={`${id}-name`}
                value={name}
                onChange={(_event, value) => setName(value)}
                aria-describedby={`${id}-help`}
                autoComplete="off"
                placeholder="ci"
              />
              <FormHelperText>
                <HelperText id={`${id}-help`} isLiveRegion>
                  <HelperTextItem variant={problem !== "" && name !== "" ? "error" : "default"}>
                    {problem !== "" && name !== "" ? problem : "What it is for, so that you know which one to revoke."}
                  </HelperTextItem>
                </HelperText>
              </FormHelperText>
            </FormGroup>
            <FormGroup label="Expires after" fieldId={`${id}-days`}>
              <FormSelect id={`${id}-days`} value={days} onChange={(_event, value) => setDays(Number(value))}>
                {lifetimes.map((lifetime) => (
                  <FormSelectOption key={lifetime.days} value={lifetime.days} label={lifetime.text} />
                ))}
              </FormSelect>
            </FormGroup>
          </Form>
        ) : (
          <Stack hasGutter>
            <StackItem>
              <Alert
                component="h2"
                isInline
                variant="warning"
                title="Copy it now: it is shown this once. Whoever has it may do all that you may."
              />
            </StackItem>
            <StackItem>
              <CodeBlock
                actions={
                  <CodeBlockAction>
                    <CopyButton text={secret} label="Copy the secret" />
                  </CodeBlockAction>
                }
              >
                <CodeBlockCode data-secret>{secret}</CodeBlockCode>
              </CodeBlock>
            </StackItem>
            <StackItem className="sl-subtle sl-break">
              <code>curl -H &quot;Authorization: Bearer $SANDBOXLABS_TOKEN&quot; {location.origin}/api/nodes</code>
            </StackItem>
          </Stack>
        )}
      </ModalBody>
      <ModalFooter>
        {secret === undefined ? (
          <>
            <Button isDisabled={problem !== "" || create.isPending} isLoading={create.isPending} onClick={submit}>
              Create token
            </Button>
            <Button variant="link" onClick={onClose}>
              Cancel
            </Button>
          </>
        ) : (
          <Button onClick={onClose}>Done</Button>
        )}
      </ModalFooter>
    </Modal>
  );
}
