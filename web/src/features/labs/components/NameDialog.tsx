import { useId, useState } from "react";

import { FormDialog } from "../../../shared/ui/FormDialog";
import { NameField } from "../../../shared/ui/NameField";

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
export function NameDialog({ initial = "", onName, ...dialog }: NameDialogProps) {
  const id = useId();
  const [name, setName] = useState(initial);
  return (
    <FormDialog
      {...dialog}
      failure={`Couldn't ${dialog.action.toLowerCase()} the lab`}
      focus={`[id="${id}-name"]`}
      isReady={name.trim() !== "" && name.trim().length <= 64}
      onSubmit={() => onName(name.trim())}
    >
      <NameField id={`${id}-name`} value={name} problem="" maxLength={64} onChange={setName} />
    </FormDialog>
  );
}
