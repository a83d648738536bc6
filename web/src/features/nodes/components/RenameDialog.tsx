import { useId, useState } from "react";

import type { Node } from "../../../shared/api/types";
import { FormDialog } from "../../../shared/ui/FormDialog";
import { NameField } from "../../../shared/ui/NameField";
import { useEditNode } from "../api/editNode";
import { useNodes } from "../api/listNodes";
import { nameProblem } from "../spec";

/** Asks for a node's new name and renames it. */
export function RenameDialog({ node, onClose }: { node: Node; onClose: () => void }) {
  const id = useId();
  const [before] = useState(node.name); // the list shows the new name immediately
  const [name, setName] = useState(before);
  const nodes = useNodes();
  const rename = useEditNode(node);
  const taken = (nodes.data ?? []).filter((other) => other.host === node.host && other.id !== node.id);
  const problem = nameProblem(
    name,
    taken.map((other) => other.name),
  );
  return (
    <FormDialog
      title={`Rename ${before}`}
      action="Rename"
      failure="Couldn't rename the node"
      focus={`[id="${id}-name"]`}
      isReady={problem === "" && name !== before}
      pending={rename.isPending}
      error={rename.error}
      onSubmit={() => rename.mutate({ name }, { onSuccess: onClose })}
      onClose={onClose}
    >
      <NameField id={`${id}-name`} value={name} problem={problem} onChange={setName} />
    </FormDialog>
  );
}
