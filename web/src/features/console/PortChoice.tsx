import { FormSelect, FormSelectOption } from "@patternfly/react-core";

import type { SerialPort } from "../../shared/api/types";

interface PortChoiceProps {
  ports: readonly SerialPort[];
  /** The name of the selected port. */
  port: string;
  /** What a port must support to be selectable. */
  needs: "available" | "logged";
  onChange: (port: string) => void;
}

/** Selects one of a node's serial ports; nothing if the node has only one. */
export function PortChoice({ ports, port, needs, onChange }: PortChoiceProps) {
  if (ports.length < 2) {
    return null;
  }
  const without = needs === "available" ? "unavailable" : "no log";
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
