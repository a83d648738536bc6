import { Label, Tooltip } from "@patternfly/react-core";

/** Marks a node that was defined by another tool, such as virsh. */
export function DefinedElsewhere() {
  return (
    <Tooltip content="Another tool, such as virsh, defined this node. Adopt it to let SandboxLabs wipe or delete it.">
      <Label isCompact variant="outline" className="sl-elsewhere" tabIndex={0}>
        defined elsewhere
      </Label>
    </Tooltip>
  );
}
