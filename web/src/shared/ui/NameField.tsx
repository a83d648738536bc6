import { TextInput } from "@patternfly/react-core";
import type { ReactNode } from "react";

import { Field } from "./Field";

interface NameFieldProps {
  id: string;
  label?: string;
  value: string;
  problem: string;
  help?: ReactNode;
  placeholder?: string;
  maxLength?: number;
  onChange: (value: string) => void;
}

/** A Field for a name, without autocompletion and spell check. */
export function NameField({ id, label = "Name", value, problem, help, onChange, ...input }: NameFieldProps) {
  return (
    <Field id={id} label={label} problem={problem} help={help}>
      <TextInput
        {...input}
        id={id}
        value={value}
        onChange={(_event, typed) => onChange(typed)}
        validated={problem === "" ? "default" : "error"}
        aria-describedby={`${id}-help`}
        autoComplete="off"
        autoCapitalize="off"
        spellCheck={false}
      />
    </Field>
  );
}
