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

/** Asks for the name and the kind of a clone, and creates it. */
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
      toasts.success(`Created ${made.name}`);
      await navigate(paths.node(made.id));
    } else {
      toasts.success(`Creating ${name}…`);
    }
  };
  return (
    <FormDialog
      title={`Clone ${node.name}`}
      description="The clone gets its own UUID, MAC addresses and first boot."
      action="Clone"
      failure="Couldn't clone the node"
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
          label="Linked (instant)"
          description={`Shares ${node.name}'s disk. ${node.name} can't be deleted while the clone exists.`}
          isChecked={mode === "linked"}
          onChange={() => setMode("linked")}
        />
        <Radio
          id={`${id}-full`}
          name={`${id}-kind`}
          label="Full copy"
          description={isOff ? "Copies the disks, which takes a while." : `Stop ${node.name} first.`}
          isDisabled={!isOff}
          isChecked={mode === "full"}
          onChange={() => setMode("full")}
        />
      </FormGroup>
    </FormDialog>
  );
}
