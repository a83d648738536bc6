import {
  FormGroup,
  FormHelperText,
  HelperText,
  HelperTextItem,
  InputGroup,
  InputGroupItem,
  InputGroupText,
  TextInput,
} from "@patternfly/react-core";
import type { ReactNode } from "react";

interface FieldProps {
  /** ID of the input; its help has the ID `${id}-help`. */
  id: string;
  label: string;
  /** The problem of the value; empty if it is valid. */
  problem: string;
  help?: ReactNode;
  children: ReactNode;
}

/** A labelled field with its problem, or else its help, below it. */
export function Field({ id, label, problem, help, children }: FieldProps) {
  return (
    <FormGroup label={label} fieldId={id}>
      {children}
      <FormHelperText>
        <HelperText id={`${id}-help`} isLiveRegion>
          {problem !== "" ? (
            <HelperTextItem variant="error">{problem}</HelperTextItem>
          ) : (
            help && <HelperTextItem>{help}</HelperTextItem>
          )}
        </HelperText>
      </FormHelperText>
    </FormGroup>
  );
}

interface NumberFieldProps {
  id: string;
  label: string;
  value: string;
  problem: string;
  help?: string;
  /** Shown after the number. */
  unit?: string;
  min: number;
  max?: number | undefined;
  /** Whether fractions are allowed. */
  isFraction?: boolean;
  onChange: (value: string) => void;
}

/** A Field for a number. */
export function NumberField({
  id,
  label,
  value,
  problem,
  help,
  unit,
  min,
  max,
  isFraction,
  onChange,
}: NumberFieldProps) {
  return (
    <Field id={id} label={label} problem={problem} help={help}>
      <InputGroup>
        <InputGroupItem isFill>
          <TextInput
            id={id}
            type="number"
            inputMode={isFraction ? "decimal" : "numeric"}
            min={min}
            {...(max === undefined ? {} : { max })}
            step={isFraction ? "any" : 1}
            value={value}
            validated={problem === "" ? "default" : "error"}
            aria-describedby={`${id}-help`}
            onChange={(_event, next) => onChange(next)}
          />
        </InputGroupItem>
        {unit && (
          <InputGroupItem>
            <InputGroupText isPlain>{unit}</InputGroupText>
          </InputGroupItem>
        )}
      </InputGroup>
    </Field>
  );
}
