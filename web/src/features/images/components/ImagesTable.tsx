import { Button, Card, CardBody, CardFooter, CardHeader, CardTitle } from "@patternfly/react-core";
import TrashIcon from "@patternfly/react-icons/dist/esm/icons/trash-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useEffect, useRef, useState } from "react";
import { useSearchParams } from "react-router";

import type { Image } from "../../../shared/api/types";
import { formatBytes, plural } from "../../../shared/format";
import { paths } from "../../../shared/paths";
import { ConfirmDialog } from "../../../shared/ui/ConfirmDialog";
import { CopyButton } from "../../../shared/ui/CopyButton";
import { LinkButton } from "../../../shared/ui/LinkButton";
import { useToasts } from "../../../shared/ui/toasts";
import { useIsWide } from "../../../shared/useIsWide";
import { useDeleteImage } from "../api/deleteImage";
import { ImageStateLabel } from "./ImageStateLabel";

interface ImagesTableProps {
  label: string;
  images: readonly Image[];
}

/** Images as a table, or as cards where there is no room for one; ?image= names one to point out. */
export function ImagesTable({ label, images }: ImagesTableProps) {
  const isWide = useIsWide();
  const linked = useSearchParams()[0].get("image");
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    list.current?.querySelector("[data-linked]")?.scrollIntoView({ block: "center" });
  }, [linked, isWide]);
  return (
    <div ref={list}>
      <List isWide={isWide} label={label} images={images} linked={linked} />
    </div>
  );
}

interface ListProps extends ImagesTableProps {
  isWide: boolean;
  /** Id of the image that a link led to. */
  linked: string | null;
}

function List({ isWide, label, images, linked }: ListProps) {
  if (!isWide) {
    return (
      <ul className="sl-cards" aria-label={label}>
        {images.map((image) => (
          <ImageCard key={keyOf(image)} image={image} isLinked={image.id === linked} />
        ))}
      </ul>
    );
  }
  return (
    <Table aria-label={label} variant="compact" gridBreakPoint="" className="sl-table sl-images">
      <Thead>
        <Tr>
          <Th width={25}>Name</Th>
          <Th width={25}>State</Th>
          <Th width={10}>Size</Th>
          <Th width={10}>Disk</Th>
          <Th width={10}>SHA-256</Th>
          <Th width={10} modifier="nowrap">
            Used by
          </Th>
          <Th screenReaderText="Actions" />
        </Tr>
      </Thead>
      <Tbody>
        {images.map((image) => (
          <ImageRow key={keyOf(image)} image={image} isLinked={image.id === linked} />
        ))}
      </Tbody>
    </Table>
  );
}

function keyOf(image: Image): string {
  return `${image.host}/${image.id}`;
}

function titleOf(image: Image): string {
  return image.displayName || image.name;
}

interface ImageProps {
  image: Image;
  isLinked: boolean;
}

function ImageRow({ image, isLinked }: ImageProps) {
  return (
    <Tr data-image={titleOf(image)} isRowSelected={isLinked} {...(isLinked ? { "data-linked": true } : {})}>
      <Td dataLabel="Name" modifier="breakWord">
        <span className="sl-name">{titleOf(image)}</span>
        <FileName image={image} />
      </Td>
      <Td dataLabel="State" modifier="breakWord">
        <ImageStateLabel state={image.state} />
        {image.reason && <div className="sl-subtle">{image.reason}</div>}
      </Td>
      <Td dataLabel="Size" modifier="nowrap">
        {formatBytes(image.size)}
      </Td>
      <Td dataLabel="Disk" modifier="nowrap">
        {image.virtualSize ? formatBytes(image.virtualSize) : "–"}
      </Td>
      <Td dataLabel="SHA-256" modifier="nowrap">
        {image.sha256 ? <Digest image={image} /> : "–"}
      </Td>
      <Td dataLabel="Used by" modifier="nowrap">
        {image.usedBy ? plural(image.usedBy, "node") : "–"}
      </Td>
      <Td isActionCell>
        <ImageActions image={image} />
      </Td>
    </Tr>
  );
}

function ImageCard({ image, isLinked }: ImageProps) {
  return (
    <Card
      component="li"
      isCompact
      data-image={titleOf(image)}
      className={isLinked ? "sl-linked" : ""}
      {...(isLinked ? { "data-linked": true } : {})}
    >
      <CardHeader actions={{ actions: <ImageStateLabel state={image.state} />, hasNoOffset: true }}>
        <CardTitle component="h3" className="sl-break">
          {titleOf(image)}
        </CardTitle>
      </CardHeader>
      <CardBody className="sl-subtle sl-break">
        <FileName image={image} />
        {image.reason && <div>{image.reason}</div>}
        <div>
          {[
            formatBytes(image.size),
            image.virtualSize ? `${formatBytes(image.virtualSize)} disk` : "",
            image.usedBy ? `used by ${plural(image.usedBy, "node")}` : "",
          ]
            .filter(Boolean)
            .join(" · ")}
        </div>
        {image.sha256 && <Digest image={image} />}
      </CardBody>
      <CardFooter>
        <ImageActions image={image} />
      </CardFooter>
    </Card>
  );
}

/** The image's name in the API, where it is not the one shown already, and its format. */
function FileName({ image }: { image: Image }) {
  const parts = [image.name === titleOf(image) ? "" : image.name, image.format].filter(Boolean);
  return <div className="sl-subtle sl-break">{parts.join(" · ")}</div>;
}

function Digest({ image }: { image: Image }) {
  const digest = image.sha256 ?? "";
  return (
    <span className="sl-copyable">
      <code title={digest}>{digest.slice(0, 12)}</code>
      <CopyButton text={digest} label={`Copy the SHA-256 of ${titleOf(image)}`} />
    </span>
  );
}

function ImageActions({ image }: { image: Image }) {
  const title = titleOf(image);
  return (
    <div className="sl-row-actions sl-image-actions">
      {image.state === "ready" && (
        <LinkButton
          size="sm"
          variant="secondary"
          to={paths.newNodeFrom(image.id)}
          aria-label={`Create node from ${title}`}
        >
          Create node
        </LinkButton>
      )}
      <DeleteImage image={image} title={title} />
    </div>
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
  // A promise, since the event of the removal may take the row off the page
  // before the answer comes: callbacks of mutate would not be called then.
  const confirm = async () => {
    try {
      await remove.mutateAsync();
      toasts.success(`${title} is deleted`);
    } catch {
      // The dialog shows why.
    }
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
          onConfirm={() => void confirm()}
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
