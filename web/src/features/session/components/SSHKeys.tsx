import {
  ActionGroup,
  Button,
  Form,
  FormGroup,
  FormHelperText,
  HelperText,
  HelperTextItem,
  TextArea,
  Title,
} from "@patternfly/react-core";
import { useState } from "react";

import { ProblemAlert } from "../../../shared/ui/ProblemAlert";
import { useToasts } from "../../../shared/ui/toasts";
import { keyName } from "../account";
import { useSetSSHKeys } from "../api/sshKeys";

/** The user's public SSH keys, which can be added to new nodes. */
export function SSHKeys({ keys }: { keys: readonly string[] }) {
  const [draft, setDraft] = useState("");
  const set = useSetSSHKeys();
  const toasts = useToasts();
  const lines = draft.split("\n").filter((line) => line.trim() !== "");
  const add = () => {
    if (lines.length === 0 || set.isPending) {
      return;
    }
    set.mutate([...keys, ...lines], { onSuccess: () => setDraft("") });
  };
  const remove = (key: string) =>
    set.mutate(
      keys.filter((other) => other !== key),
      { onSuccess: () => toasts.success(`Removed ${keyName(key)}`) },
    );
  return (
    <section className="sl-section" aria-label="SSH keys">
      <Title headingLevel="h2" size="lg">
        SSH keys
      </Title>
      <p className="sl-account__about sl-subtle">Added to your new nodes so you can log in over SSH.</p>
      {keys.length > 0 && (
        <ul className="sl-rows" aria-label="SSH keys">
          {keys.map((key) => (
            <li key={key}>
              <div className="sl-break">
                <div className="sl-rows__title">{keyName(key)}</div>
                <div className="sl-subtle sl-mono sl-rows__line" title={key}>
                  {key}
                </div>
              </div>
              <Button
                size="sm"
                variant="secondary"
                isDanger
                isDisabled={set.isPending}
                aria-label={`Remove ${keyName(key)}`}
                onClick={() => remove(key)}
              >
                Remove
              </Button>
            </li>
          ))}
        </ul>
      )}
      <Form
        className="sl-account__form sl-account__new"
        onSubmit={(event) => {
          event.preventDefault();
          add();
        }}
      >
        {set.error && <ProblemAlert title="Couldn't change the keys" error={set.error} />}
        <FormGroup label="New key" fieldId="ssh-key">
          <TextArea
            id="ssh-key"
            value={draft}
            rows={3}
            resizeOrientation="vertical"
            spellCheck={false}
            autoComplete="off"
            aria-describedby="ssh-key-help"
            onChange={(_event, value) => {
              set.reset();
              setDraft(value);
            }}
          />
          <FormHelperText>
            <HelperText id="ssh-key-help">
              <HelperTextItem>
                Paste the contents of <code>~/.ssh/id_ed25519.pub</code>. One key per line.
              </HelperTextItem>
            </HelperText>
          </FormHelperText>
        </FormGroup>
        <ActionGroup>
          <Button
            type="submit"
            variant="secondary"
            isDisabled={lines.length === 0 || set.isPending}
            isLoading={set.isPending}
          >
            Add key
          </Button>
        </ActionGroup>
      </Form>
    </section>
  );
}
