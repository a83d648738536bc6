import {
  FormGroup,
  FormHelperText,
  Grid,
  GridItem,
  HelperText,
  HelperTextItem,
  ToggleGroup,
  ToggleGroupItem,
} from "@patternfly/react-core";

import type { Image } from "../../../shared/api/types";
import { formatBytes, formatRAM, plural } from "../../../shared/format";
import {
  type Draft,
  type DraftProblems,
  type Limits,
  installDisk,
  isMedia,
  leastRAM,
  presetProblem,
  presets,
} from "../spec";
import { NumberField } from "../../../shared/ui/Field";

type Size = Pick<Draft, "ram" | "cpus" | "disk">;

interface SizeFieldsProps {
  size: Size;
  problems: DraftProblems;
  limits: Limits;
  image: Image | undefined;
  onChange: (change: Partial<Size>) => void;
}

/** A node's size: presets, disabled if the host is too small, and a field for each value. */
export function SizeFields({ size, problems, limits, image, onChange }: SizeFieldsProps) {
  const tooLarge = presets.map((preset) => presetProblem(preset, limits)).filter(Boolean);
  return (
    <>
      <FormGroup label="Size" role="group" fieldId="size">
        <ToggleGroup
          aria-label="Size presets"
          className="sl-presets"
          {...(tooLarge.length > 0 ? { "aria-describedby": "size-help" } : {})}
        >
          {presets.map((preset) => (
            <ToggleGroupItem
              key={preset.name}
              buttonId={`preset-${preset.name}`}
              text={
                <>
                  <b>{preset.name}</b>
                  <span className="sl-presets__detail">
                    {formatRAM(preset.ram)}, {plural(preset.cpus, "CPU")}
                  </span>
                </>
              }
              isDisabled={presetProblem(preset, limits) !== ""}
              isSelected={size.ram === String(preset.ram) && size.cpus === String(preset.cpus)}
              onChange={() => onChange({ ram: String(preset.ram), cpus: String(preset.cpus) })}
            />
          ))}
        </ToggleGroup>
        {tooLarge.length > 0 && (
          <FormHelperText>
            <HelperText id="size-help">
              <HelperTextItem>{tooLarge.join(" ")}</HelperTextItem>
            </HelperText>
          </FormHelperText>
        )}
      </FormGroup>
      <Grid hasGutter sm={4}>
        <GridItem>
          <NumberField
            id="ram"
            label="RAM"
            unit="MiB"
            value={size.ram}
            min={leastRAM}
            max={limits.ram}
            problem={problems.ram}
            {...(limits.ram === undefined ? {} : { help: `At most ${limits.ram}` })}
            onChange={(ram) => onChange({ ram })}
          />
        </GridItem>
        <GridItem>
          <NumberField
            id="cpus"
            label="CPUs"
            value={size.cpus}
            min={1}
            max={limits.cpus}
            problem={problems.cpus}
            {...(limits.cpus === undefined ? {} : { help: `At most ${limits.cpus}` })}
            onChange={(cpus) => onChange({ cpus })}
          />
        </GridItem>
        <GridItem>
          <NumberField
            id="disk"
            label="Disk"
            unit="GiB"
            value={size.disk}
            min={0}
            isFraction
            problem={problems.disk}
            help={diskHelp(image)}
            onChange={(disk) => onChange({ disk })}
          />
        </GridItem>
      </Grid>
    </>
  );
}

function diskHelp(image: Image | undefined): string {
  if (isMedia(image)) {
    return `Leave empty for ${formatBytes(installDisk)}`;
  }
  return image?.virtualSize
    ? `Leave empty for ${formatBytes(image.virtualSize)}, the image's size`
    : "Leave empty for the image's size";
}
