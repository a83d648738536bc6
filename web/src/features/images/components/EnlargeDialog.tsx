import { useId, useState } from "react";

import type { Image } from "../../../shared/api/types";
import { formatBytes } from "../../../shared/format";
import { NumberField } from "../../../shared/ui/Field";
import { FormDialog } from "../../../shared/ui/FormDialog";
import { useToasts } from "../../../shared/ui/toasts";
import { useImageWork } from "../api/imageWork";
import { titleOf } from "../library";

const gibibyte = 1024 ** 3;

/** Enlarges the virtual disk of an image. */
export function EnlargeDialog({ image, onClose }: { image: Image; onClose: () => void }) {
  const id = useId();
  const [size, setSize] = useState(String(Math.ceil(image.virtualSize / gibibyte) + 1));
  const work = useImageWork(image.id);
  const toasts = useToasts();
  const virtualSize = Math.round(Number(size) * gibibyte);
  const isReady = virtualSize > image.virtualSize && Number.isFinite(virtualSize);
  const now = `Currently ${formatBytes(image.virtualSize)}; can't be reduced. Nodes created later get the new size.`;
  const submit = () =>
    work.mutate(
      { do: "resize", virtualSize },
      {
        onSuccess: () => {
          toasts.success(`Enlarging ${titleOf(image)}…`);
          onClose();
        },
      },
    );
  return (
    <FormDialog
      title={`Enlarge the disk of ${titleOf(image)}`}
      action="Enlarge"
      failure="Couldn't enlarge the disk"
      focus={`[id="${id}-size"]`}
      isReady={isReady}
      pending={work.isPending}
      error={work.error}
      onSubmit={submit}
      onClose={onClose}
    >
      <NumberField
        id={`${id}-size`}
        label="Disk size in GiB"
        value={size}
        min={0}
        isFraction
        problem={isReady ? "" : now}
        help={now}
        onChange={setSize}
      />
    </FormDialog>
  );
}
