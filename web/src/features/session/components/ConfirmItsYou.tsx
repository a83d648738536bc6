import { FormGroup, TextInput } from "@patternfly/react-core";
import { useMutation } from "@tanstack/react-query";
import { useEffect, useId, useState } from "react";

import { api, done } from "../../../shared/api/client";
import { RequestError } from "../../../shared/api/problem";
import { FormDialog } from "../../../shared/ui/FormDialog";
import { askBy } from "../confirm";

interface Answer {
  password: string;
  code?: string;
}

/** Asks for the password when the service requires the user to confirm their identity. */
export function ConfirmItsYou() {
  const [waiting, setWaiting] = useState<((confirmed: boolean) => void) | null>(null);
  useEffect(() => askBy(() => new Promise((resolve) => setWaiting(() => resolve))), []);
  if (waiting === null) {
    return null;
  }
  return (
    <PasswordDialog
      onEnd={(confirmed) => {
        setWaiting(null);
        waiting(confirmed);
      }}
    />
  );
}

function PasswordDialog({ onEnd }: { onEnd: (confirmed: boolean) => void }) {
  const id = useId();
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [isCodeAsked, setCodeAsked] = useState(false);
  const confirm = useMutation({
    mutationFn: (body: Answer) => done(api.POST("/api/auth/confirm", { body })),
    gcTime: 0,
  });
  const isFirstAsked = isCodeAsked && confirm.variables?.code === undefined;
  const submit = () =>
    confirm.mutate(
      { password, ...(isCodeAsked ? { code } : {}) },
      {
        onSuccess: () => onEnd(true),
        onError: (error) => {
          if (error instanceof RequestError && error.code === "second_factor_required") {
            setCodeAsked(true);
          }
        },
      },
    );
  return (
    <FormDialog
      title="Confirm it's you"
      description="You signed in a while ago. Enter your password to continue."
      action="Confirm"
      failure="Couldn't confirm"
      focus={`[id="${id}-password"]`}
      isReady={password !== "" && (!isCodeAsked || code.trim() !== "")}
      pending={confirm.isPending}
      error={isFirstAsked ? null : confirm.error}
      onSubmit={submit}
      onClose={() => onEnd(false)}
    >
      <FormGroup label="Password" fieldId={`${id}-password`} isRequired>
        <TextInput
          id={`${id}-password`}
          type="password"
          autoComplete="current-password"
          value={password}
          onChange={(_event, value) => setPassword(value)}
        />
      </FormGroup>
      {isCodeAsked && (
        <FormGroup label="6-digit code or recovery code" fieldId={`${id}-code`} isRequired>
          <TextInput
            id={`${id}-code`}
            autoComplete="one-time-code"
            value={code}
            onChange={(_event, value) => setCode(value)}
          />
        </FormGroup>
      )}
    </FormDialog>
  );
}
