import { useId, useState } from "react";

import { RequestError } from "../../../shared/api/problem";
import type { Node } from "../../../shared/api/types";
import { FormDialog } from "../../../shared/ui/FormDialog";
import { NameField } from "../../../shared/ui/NameField";
import { useToasts } from "../../../shared/ui/toasts";
import { useMakeImage } from "../api/makeImage";

/** Asks for the name of an image, and has it made of a node's disk. */
export function MakeImageDialog({ node, onClose }: { node: Node; onClose: () => void }) {
  const id = useId();
  const [name, setName] = useState(node.name);
  const make = useMakeImage(node.id);
  const toasts = useToasts();
  const told = make.error instanceof RequestError ? (make.error.fields.name ?? "") : "";
  const problem = name.trim() === "" ? "Give the image a name." : told;
  return (
    <FormDialog
      title={`Make an image of ${node.name}`}
      description="The image has all that is on the disk, and depends on nothing. A job copies it, while the node stays off."
      action="Make image"
      failure="No image is made"
      focus={`[id="${id}-name"]`}
      isReady={name.trim() !== ""}
      pending={make.isPending}
      error={make.error}
      onSubmit={() =>
        make.mutate(name.trim(), {
          onSuccess: () => {
            toasts.success(`The image ${name.trim()} is being made: it shows among the images once it is done`);
            onClose();
          },
        })
      }
      onClose={onClose}
    >
      <NameField
        id={`${id}-name`}
        label="Name of the image"
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
