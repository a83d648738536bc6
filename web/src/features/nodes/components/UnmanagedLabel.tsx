import { Label, Tooltip } from "@patternfly/react-core";

/** Marks a node that was created outside SandboxLabs, for example with virsh. */
export function UnmanagedLabel() {
  return (
    <Tooltip content="Created outside SandboxLabs (for example with virsh). Adopt it to manage it here.">
      <Label isCompact variant="outline" className="sl-elsewhere" tabIndex={0}>
        unmanaged
      </Label>
    </Tooltip>
  );
}
