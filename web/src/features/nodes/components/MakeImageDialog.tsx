import { useId, useState } from "react";

import { RequestError } from "../../../shared/api/problem";
import type { Node } from "../../../shared/api/types";
import { FormDialog } from "../../../shared/ui/FormDialog";
import { NameField } from "../../../shared/ui/NameField";
import { useToasts } from "../../../shared/ui/toasts";
import { useMakeImage } from "../api/makeImage";

/** Asks for a name, and creates an image from a node's disk. */
export function MakeImageDialog({ node, onClose }: { node: Node; onClose: () => void }) {
  const id = useId();
  const [name, setName] = useState(node.name);
  const make = useMakeImage(node.id);
  const toasts = useToasts();
  const told = make.error instanceof RequestError ? (make.error.fields.name ?? "") : "";
  const problem = name.trim() === "" ? "Enter a name." : told;
  return (
    <FormDialog
      title={`Create image from ${node.name}`}
      description="Copies the disk into a new, independent image. The node must stay off meanwhile."
      action="Create image"
      failure="Couldn't create the image"
      focus={`[id="${id}-name"]`}
      isReady={name.trim() !== ""}
      pending={make.isPending}
      error={make.error}
      onSubmit={() =>
        make.mutate(name.trim(), {
          onSuccess: () => {
            toasts.success(`Creating image ${name.trim()}…`);
            onClose();
          },
        })
      }
      onClose={onClose}
    >
      <NameField
        id={`${id}-name`}
        label="Image name"
        value={name}
        problem={problem}
        onChange={(value) => {
          make.reset();
          setName(value);
        }}
      />
    </FormDialog>
  );
}
