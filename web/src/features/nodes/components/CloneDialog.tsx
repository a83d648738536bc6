import { FormGroup, Radio } from "@patternfly/react-core";
import { useId, useState } from "react";
import { useNavigate } from "react-router";

import type { Node } from "../../../shared/api/types";
import { paths } from "../../../shared/paths";
import { FormDialog } from "../../../shared/ui/FormDialog";
import { NameField } from "../../../shared/ui/NameField";
import { useToasts } from "../../../shared/ui/toasts";
import { type Clone, useCloneNode } from "../api/cloneNode";
import { useNodes } from "../api/listNodes";
import { nameProblem, suggestName } from "../spec";

/** Asks for the name and the kind of a clone, and makes it. */
export function CloneDialog({ node, onClose }: { node: Node; onClose: () => void }) {
  const id = useId();
  const nodes = useNodes();
  const taken = (nodes.data ?? []).filter(({ host }) => host === node.host).map(({ name }) => name);
  const [name, setName] = useState(() => suggestName(node.name, taken));
  const [mode, setMode] = useState<Clone["mode"]>("linked");
  const clone = useCloneNode(node.id);
  const toasts = useToasts();
  const navigate = useNavigate();
  const problem = nameProblem(name, taken);
  const isOff = node.state === "stopped";
  const submit = async () => {
    let made;
    try {
      made = await clone.mutateAsync({ name, mode });
    } catch {
      return; // the dialog shows why
    }
    onClose();
    if (made) {
      toasts.success(`${made.name} is a clone of ${node.name}`);
      await navigate(paths.node(made.id));
    } else {
      toasts.success(`${name} is being copied: it shows among the nodes once it is done`);
    }
  };
  return (
    <FormDialog
      title={`Clone ${node.name}`}
      description="The clone has a UUID, MAC addresses and a first boot of its own."
      action="Clone"
      failure="No clone was made"
      focus={`[id="${id}-name"]`}
      isReady={problem === ""}
      pending={clone.isPending}
      error={clone.error}
      onSubmit={() => void submit()}
      onClose={onClose}
    >
      <NameField id={`${id}-name`} value={name} problem={problem} onChange={setName} />
      <FormGroup role="radiogroup" label="Kind" fieldId={`${id}-kind`}>
        <Radio
          id={`${id}-linked`}
          name={`${id}-kind`}
          label="Linked: at once"
          description={`Its disks lie on those of ${node.name}, which cannot be deleted before the clone is.`}
          isChecked={mode === "linked"}
          onChange={() => setMode("linked")}
        />
        <Radio
          id={`${id}-full`}
          name={`${id}-kind`}
          label="Full: a copy of its own"
          description={isOff ? "A job copies the disks, which takes a while." : `${node.name} must be off for it.`}
          isDisabled={!isOff}
          isChecked={mode === "full"}
          onChange={() => setMode("full")}
        />
      </FormGroup>
    </FormDialog>
  );
}
