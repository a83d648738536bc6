import {
  ActionGroup,
  Button,
  Form,
  FormGroup,
  FormHelperText,
  HelperText,
  HelperTextItem,
  TextInput,
} from "@patternfly/react-core";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { ProblemAlert } from "../../../shared/ui/ProblemAlert";
import { useToasts } from "../../../shared/ui/toasts";
import { type PasswordDraft, passwordProblems } from "../account";
import { useChangePassword } from "../api/changePassword";
import { sessionKey } from "../api/session";
import { sessionsKey } from "../api/sessions";

const empty: PasswordDraft = { current: "", fresh: "", again: "" };

/** Changes the user's password: the service replaces this session with a new one, and ends all others. */
export function PasswordForm({ username }: { username: string }) {
  const [draft, setDraft] = useState(empty);
  const change = useChangePassword();
  const queries = useQueryClient();
  const toasts = useToasts();
  const problems = passwordProblems(draft);
  const isReady = draft.current !== "" && problems.fresh === "" && problems.again === "" && !change.isPending;

  const submit = () => {
    if (!isReady) {
      return;
    }
    change.mutate(
      { current: draft.current, new: draft.fresh },
      {
        onSuccess: () => {
          toasts.success("Password changed. You've been signed out everywhere else.");
          setDraft(empty);
          void queries.invalidateQueries({ queryKey: sessionKey });
          void queries.invalidateQueries({ queryKey: sessionsKey });
        },
      },
    );
  };
  const field = (name: keyof PasswordDraft, label: string, autoComplete: string, problem: string, help: string) => {
    const isWrong = problem !== "" && draft[name] !== "";
    return (
      <FormGroup label={label} fieldId={name} isRequired>
        <TextInput
          id={name}
          type="password"
          autoComplete={autoComplete}
          isRequired
          value={draft[name]}
          validated={isWrong ? "error" : "default"}
          aria-describedby={`${name}-help`}
          onChange={(_event, value) => {
            change.reset();
            setDraft({ ...draft, [name]: value });
          }}
        />
        <FormHelperText>
          <HelperText id={`${name}-help`} isLiveRegion>
            {isWrong ? (
              <HelperTextItem variant="error">{problem}</HelperTextItem>
            ) : (
              help && <HelperTextItem>{help}</HelperTextItem>
            )}
          </HelperText>
        </FormHelperText>
      </FormGroup>
    );
  };
  return (
    <Form
      className="sl-account__form"
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      {change.error && <ProblemAlert title="Couldn't change the password" error={change.error} />}
      {/* For password managers, which need the user name. */}
      <input type="text" name="username" autoComplete="username" value={username} readOnly hidden />
      {field("current", "Current password", "current-password", "", "")}
      {field("fresh", "New password", "new-password", problems.fresh, "At least 12 characters.")}
      {field("again", "Confirm new password", "new-password", problems.again, "")}
      <ActionGroup>
        <Button type="submit" isDisabled={!isReady} isLoading={change.isPending}>
          Change password
        </Button>
      </ActionGroup>
    </Form>
  );
}
