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

/** Asks for an image's name before it is deleted permanently. */
export function DeleteImageDialog({ image, onDeleted, onClose }: DeleteImageDialogProps) {
  const remove = useDeleteImage(image.id);
  const toasts = useToasts();
  const title = titleOf(image);
  // A promise, because the removal event may unmount the image's row before the response
  // arrives, and callbacks of mutate are not called then.
  const confirm = async () => {
    try {
      await remove.mutateAsync();
      toasts.success(`Deleted ${title}`);
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
      This permanently deletes the image{image.size > 0 && ` and frees ${formatBytes(image.size)}`}.
      {image.usedBy
        ? ` Used by ${plural(image.usedBy, "node")}. Delete ${image.usedBy === 1 ? "that node" : "those nodes"} first.`
        : ""}
    </ConfirmDialog>
  );
}
