import { FormSelect, FormSelectOption } from "@patternfly/react-core";

import type { SerialPort } from "../../shared/api/types";

interface PortChoiceProps {
  ports: readonly SerialPort[];
  /** The name of the port that is shown. */
  port: string;
  /** What a port must offer to be chosen. */
  needs: "available" | "logged";
  onChange: (port: string) => void;
}

/** Which of a node's serial ports is shown; nothing where there is one alone. */
export function PortChoice({ ports, port, needs, onChange }: PortChoiceProps) {
  if (ports.length < 2) {
    return null;
  }
  const without = needs === "available" ? "cannot be opened" : "not recorded";
  return (
    <FormSelect
      className="sl-ports"
      aria-label="Serial port"
      value={port}
      onChange={(_event, chosen) => onChange(chosen)}
    >
      {ports.map((one) => (
        <FormSelectOption
          key={one.name}
          value={one.name}
          label={one[needs] ? one.name : `${one.name} (${without})`}
          isDisabled={!one[needs]}
        />
      ))}
    </FormSelect>
  );
}
