import { Button, Content } from "@patternfly/react-core";
import TrashIcon from "@patternfly/react-icons/dist/esm/icons/trash-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useState } from "react";

import type { Image } from "../../../shared/api/types";
import { formatBytes, plural } from "../../../shared/format";
import { paths } from "../../../shared/paths";
import { ConfirmDialog } from "../../../shared/ui/ConfirmDialog";
import { CopyButton } from "../../../shared/ui/CopyButton";
import { LinkButton } from "../../../shared/ui/LinkButton";
import { useToasts } from "../../../shared/ui/toasts";
import { useDeleteImage } from "../api/deleteImage";
import { ImageStateLabel } from "./ImageStateLabel";

interface ImagesTableProps {
  label: string;
  images: readonly Image[];
}

/** Images as a table; on a narrow screen each row becomes a card. */
export function ImagesTable({ label, images }: ImagesTableProps) {
  return (
    <Table aria-label={label} variant="compact" gridBreakPoint="grid-lg" className="sl-table">
      <Thead>
        <Tr>
          <Th>Name</Th>
          <Th>State</Th>
          <Th>Size</Th>
          <Th>Disk</Th>
          <Th>SHA-256</Th>
          <Th>Used by</Th>
          <Th screenReaderText="Actions" />
        </Tr>
      </Thead>
      <Tbody>
        {images.map((image) => (
          <ImageRow key={`${image.host ?? ""}/${image.id}`} image={image} />
        ))}
      </Tbody>
    </Table>
  );
}

function ImageRow({ image }: { image: Image }) {
  const title = image.displayName || image.name;
  return (
    <Tr data-image={image.name}>
      <Td dataLabel="Name" modifier="breakWord">
        <span className="sl-name">{title}</span>
        {(image.name !== title || image.format) && (
          <Content component="small" className="sl-break">
            {[image.name === title ? "" : image.name, image.format].filter(Boolean).join(" · ")}
          </Content>
        )}
      </Td>
      <Td dataLabel="State" modifier="breakWord">
        <ImageStateLabel state={image.state} />
        {image.reason && <Content component="small">{image.reason}</Content>}
      </Td>
      <Td dataLabel="Size" modifier="nowrap">
        {formatBytes(image.size)}
      </Td>
      <Td dataLabel="Disk" modifier="nowrap">
        {image.virtualSize ? formatBytes(image.virtualSize) : "–"}
      </Td>
      <Td dataLabel="SHA-256" modifier="nowrap">
        {image.sha256 ? (
          <>
            <code title={image.sha256}>{image.sha256.slice(0, 12)}</code>{" "}
            <CopyButton text={image.sha256} label={`Copy the SHA-256 of ${title}`} />
          </>
        ) : (
          "–"
        )}
      </Td>
      <Td dataLabel="Used by" modifier="nowrap">
        {image.usedBy ? plural(image.usedBy, "node") : "–"}
      </Td>
      <Td isActionCell>
        <div className="sl-row-actions sl-image-actions">
          {image.state === "ready" && (
            <LinkButton size="sm" variant="secondary" to={paths.newNodeFrom(image.id)} aria-label={`Create a node from ${title}`}>
              Create node
            </LinkButton>
          )}
          <DeleteImage image={image} title={title} />
        </div>
      </Td>
    </Tr>
  );
}

function DeleteImage({ image, title }: { image: Image; title: string }) {
  const [isAsked, setAsked] = useState(false);
  const remove = useDeleteImage(image.id);
  const toasts = useToasts();
  const close = () => {
    setAsked(false);
    remove.reset();
  };
  return (
    <>
      <Button variant="plain" icon={<TrashIcon />} aria-label={`Delete ${title}`} onClick={() => setAsked(true)} />
      {isAsked && (
        <ConfirmDialog
          title={`Delete ${title}?`}
          action="Delete"
          pending={remove.isPending}
          error={remove.error}
          onConfirm={() => remove.mutate(undefined, { onSuccess: () => toasts.success(`${title} is deleted`) })}
          onClose={close}
        >
          The image is deleted from the images pool for good.{" "}
          {image.usedBy
            ? `${plural(image.usedBy, "node")} still ${image.usedBy === 1 ? "needs" : "need"} it, so the service will refuse: delete them first.`
            : "No node needs it."}
        </ConfirmDialog>
      )}
    </>
  );
}
