import type { Image } from "../../../shared/api/types";
import { formatBytes, plural } from "../../../shared/format";
import { ConfirmDialog } from "../../../shared/ui/ConfirmDialog";
import { useToasts } from "../../../shared/ui/toasts";
import { useDeleteImage } from "../api/deleteImage";
import { titleOf } from "../library";

interface DeleteImageDialogProps {
  image: Image;
  onDeleted?: () => void;
  onClose: () => void;
}

/** Asks for an image's name before it is deleted for good. */
export function DeleteImageDialog({ image, onDeleted, onClose }: DeleteImageDialogProps) {
  const remove = useDeleteImage(image.id);
  const toasts = useToasts();
  const title = titleOf(image);
  // A promise, since the event of the removal may take the image off the page
  // before the answer comes: callbacks of mutate would not be called then.
  const confirm = async () => {
    try {
      await remove.mutateAsync();
      toasts.success(`${title} is deleted`);
      onDeleted?.();
    } catch {
      // The dialog shows why.
    }
  };
  return (
    <ConfirmDialog
      title={`Delete ${title}?`}
      action="Delete"
      typedName={title}
      pending={remove.isPending}
      error={remove.error}
      onConfirm={() => void confirm()}
      onClose={onClose}
    >
      The image is deleted from the images pool for good{image.size > 0 && `, which frees ${formatBytes(image.size)}`}.{" "}
      {image.usedBy
        ? `${plural(image.usedBy, "node")} still ${image.usedBy === 1 ? "needs" : "need"} it, so the service will refuse: delete them first.`
        : "No node needs it."}
    </ConfirmDialog>
  );
}
