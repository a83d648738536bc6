import { FormSelect, FormSelectOption, Grid, GridItem } from "@patternfly/react-core";

import type { Image } from "../../../shared/api/types";
import { firmwareNames, firmwares } from "../../../shared/firmware";
import { Field } from "../../../shared/ui/Field";
import type { Draft } from "../spec";

type Chosen = Pick<Draft, "firmware" | "tpm">;

interface FirmwareFieldsProps {
  chosen: Chosen;
  /** The image that the node is created from, which has the defaults. */
  image: Image | undefined;
  onChange: (change: Partial<Chosen>) => void;
}

/** The firmware of a new node, and whether it has a TPM. */
export function FirmwareFields({ chosen, image, onChange }: FirmwareFieldsProps) {
  return (
    <Grid hasGutter sm={6}>
      <GridItem>
        <Field id="firmware" label="Firmware" problem="" help="Secure Boot starts signed systems only.">
          <FormSelect
            id="firmware"
            value={chosen.firmware}
            onChange={(_event, firmware) => onChange({ firmware: firmware as Chosen["firmware"] })}
            aria-describedby="firmware-help"
          >
            <FormSelectOption value="" label={`Default (${firmwareNames[image?.firmware ?? "bios"]})`} />
            {firmwares.map((name) => (
              <FormSelectOption key={name} value={name} label={firmwareNames[name]} />
            ))}
          </FormSelect>
        </Field>
      </GridItem>
      <GridItem>
        <Field id="tpm" label="TPM 2.0" problem="" help="Windows 11 requires UEFI and a TPM.">
          <FormSelect
            id="tpm"
            value={chosen.tpm}
            onChange={(_event, tpm) => onChange({ tpm: tpm as Chosen["tpm"] })}
            aria-describedby="tpm-help"
          >
            <FormSelectOption value="" label={`Default (${image?.tpm ? "yes" : "no"})`} />
            <FormSelectOption value="yes" label="Yes" />
            <FormSelectOption value="no" label="No" />
          </FormSelect>
        </Field>
      </GridItem>
    </Grid>
  );
}
