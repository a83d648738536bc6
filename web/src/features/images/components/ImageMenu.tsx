import { Divider, DropdownItem } from "@patternfly/react-core";
import EllipsisVIcon from "@patternfly/react-icons/dist/esm/icons/ellipsis-v-icon";
import { useState } from "react";
import { useNavigate } from "react-router";

import { atBase } from "../../../shared/base";
import type { Image } from "../../../shared/api/types";
import { paths } from "../../../shared/paths";
import { LinkButton } from "../../../shared/ui/LinkButton";
import { Menu } from "../../../shared/ui/Menu";
import { useToasts } from "../../../shared/ui/toasts";
import { useImageWork } from "../api/imageWork";
import { titleOf } from "../library";
import { DeleteImageDialog } from "./DeleteImageDialog";
import { EditImageDialog } from "./EditImageDialog";
import { EnlargeDialog } from "./EnlargeDialog";

interface ImageMenuProps {
  image: Image;
  /** row: in a list; page: at the top of the image's page, where deleting leads back to the list. */
  place: "row" | "page";
}

/** The available actions of an image: the main one as a button, the others in a menu. */
export function ImageMenu({ image, place }: ImageMenuProps) {
  const [asked, setAsked] = useState<"edit" | "enlarge" | "delete" | null>(null);
  const work = useImageWork(image.id);
  const toasts = useToasts();
  const navigate = useNavigate();
  const title = titleOf(image);
  const isManager = image.access === "manage";
  const isFile = image.state !== "uploading";
  const isDisk = isManager && image.state === "ready" && image.format === "qcow2";
  const start = (kind: "verify" | "compact") =>
    work.mutate({ do: kind }, { onError: (error) => toasts.failure(`Couldn't ${kind} ${title}`, error) });
  return (
    <div className="sl-row-actions sl-image-actions">
      {image.state === "ready" && image.access !== "view" && (
        <LinkButton
          {...(place === "row" ? { size: "sm", variant: "secondary" } : { variant: "primary" })}
          to={paths.newNodeFrom(image.id)}
          aria-label={`Create node from ${title}`}
        >
          Create node
        </LinkButton>
      )}
      <Menu label={`Actions for ${title}`} icon={<EllipsisVIcon />}>
        {place === "row" && (
          <DropdownItem onClick={() => void navigate(paths.image(image.id))}>View details</DropdownItem>
        )}
        {isManager && (
          <DropdownItem onClick={() => setAsked("edit")} description="Name, description and tags">
            Edit
          </DropdownItem>
        )}
        {isFile && (
          <DropdownItem
            to={atBase(`/api/images/${encodeURIComponent(image.id)}/download`)}
            description="The file from the pool"
          >
            Download
          </DropdownItem>
        )}
        {isManager && (image.state === "unverified" || image.state === "changed") && (
          <DropdownItem onClick={() => start("verify")} description="Check the file so it can be used">
            Verify
          </DropdownItem>
        )}
        {isDisk && (
          <DropdownItem onClick={() => start("compact")} description="Reclaim unused space">
            Compact
          </DropdownItem>
        )}
        {isDisk && (
          <DropdownItem onClick={() => setAsked("enlarge")} description="Enlarge the disk">
            Enlarge
          </DropdownItem>
        )}
        {isManager && <Divider component="li" />}
        {isManager && (
          <DropdownItem isDanger onClick={() => setAsked("delete")}>
            Delete
          </DropdownItem>
        )}
      </Menu>
      {asked === "edit" && <EditImageDialog image={image} onClose={() => setAsked(null)} />}
      {asked === "enlarge" && <EnlargeDialog image={image} onClose={() => setAsked(null)} />}
      {asked === "delete" && (
        <DeleteImageDialog
          image={image}
          onClose={() => setAsked(null)}
          {...(place === "page" ? { onDeleted: () => void navigate(paths.images) } : {})}
        />
      )}
    </div>
  );
}
