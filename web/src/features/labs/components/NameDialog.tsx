import { Form, FormGroup, TextInput } from "@patternfly/react-core";
import { useState } from "react";

import { LabDialog } from "./LabDialog";

interface NameDialogProps {
  title: string;
  action: string;
  initial?: string;
  pending: boolean;
  error: unknown;
  onName: (name: string) => void;
  onClose: () => void;
}

/** Asks for a lab's name. */
export function NameDialog({ title, action, initial = "", pending, error, onName, onClose }: NameDialogProps) {
  const [name, setName] = useState(initial);
  const isReady = name.trim() !== "" && name.trim().length <= 64;
  return (
    <LabDialog title={title} action={action} isReady={isReady} pending={pending} error={error} onClose={onClose}>
      {(formID) => (
        <Form
          id={formID}
          onSubmit={(event) => {
            event.preventDefault();
            if (isReady && !pending) {
              onName(name.trim());
            }
          }}
        >
          <FormGroup label="Name" fieldId={`${formID}-name`} isRequired>
            <TextInput
              id={`${formID}-name`}
              autoFocus
              value={name}
              maxLength={64}
              autoComplete="off"
              onChange={(_event, value) => setName(value)}
            />
          </FormGroup>
        </Form>
      )}
    </LabDialog>
  );
}
