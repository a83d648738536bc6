import { Checkbox } from "@patternfly/react-core";
import { useId, useState } from "react";

import type { Lab, Node } from "../../../shared/api/types";
import { plural } from "../../../shared/format";
import { ConfirmDialog } from "../../../shared/ui/ConfirmDialog";

interface DeleteLabDialogProps {
  lab: Lab;
  nodes: readonly Node[];
  pending: boolean;
  error: unknown;
  onDelete: (withContents: boolean) => void;
  onClose: () => void;
}

/** Asks for confirmation before a lab is deleted, and whether to delete its contents too. */
export function DeleteLabDialog({ lab, nodes, pending, error, onDelete, onClose }: DeleteLabDialogProps) {
  const id = useId();
  const [all, setAll] = useState(false);
  const contents = `${plural(nodes.length, "node")} and ${plural(lab.networks.length, "network")}`;
  const isEmpty = nodes.length + lab.networks.length === 0;
  return (
    <ConfirmDialog
      title={`Delete the lab ${lab.name}?`}
      action="Delete"
      typedName={lab.name}
      pending={pending}
      error={error}
      onConfirm={() => onDelete(all)}
      onClose={onClose}
    >
      <p>
        {all
          ? `Permanently deletes the lab, ${contents}.`
          : `Only the diagram is deleted${isEmpty ? "." : `; its ${contents} are kept.`}`}
      </p>
      {nodes.length > 0 && <p className="sl-subtle sl-break">{nodes.map(({ name }) => name).join(", ")}</p>}
      {!isEmpty && (
        <Checkbox
          id={`${id}-all`}
          label={`Delete its ${contents} too`}
          isChecked={all}
          onChange={(_event, checked) => setAll(checked)}
        />
      )}
    </ConfirmDialog>
  );
}
