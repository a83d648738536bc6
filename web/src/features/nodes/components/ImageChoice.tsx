import { Card, CardBody, CardHeader, CardTitle, Gallery, SearchInput } from "@patternfly/react-core";
import { useState } from "react";

import type { Image } from "../../../shared/api/types";
import { formatBytes } from "../../../shared/format";
import { isMedia } from "../spec";

interface ImageChoiceProps {
  /** The selectable images. */
  images: readonly Image[];
  chosen: string;
  onChoose: (image: Image) => void;
}

const searchFrom = 9;

/** The images as radio cards, with a search if there are many. */
export function ImageChoice({ images, chosen, onChoose }: ImageChoiceProps) {
  const [search, setSearch] = useState("");
  const shown = images.filter(
    (image) => image.id === chosen || titleOf(image).toLowerCase().includes(search.toLowerCase()),
  );
  return (
    <>
      {images.length >= searchFrom && (
        <SearchInput
          className="sl-image-search"
          aria-label="Search images"
          placeholder="Search images"
          value={search}
          onChange={(_event, value) => setSearch(value)}
          onClear={() => setSearch("")}
        />
      )}
      <Gallery
        hasGutter
        minWidths={{ default: "min(100%, 13rem)" }}
        role="radiogroup"
        aria-label="Image"
        className="sl-image-choice"
      >
        {shown.map((image) => (
          <Card key={image.id} id={`image-${image.id}`} isCompact isSelectable isSelected={image.id === chosen}>
            <CardHeader
              selectableActions={{
                variant: "single",
                name: "image",
                selectableActionId: `choose-${image.id}`,
                selectableActionAriaLabelledby: `image-title-${image.id}`,
                onChange: () => onChoose(image),
              }}
            >
              <CardTitle id={`image-title-${image.id}`} className="sl-break">
                {titleOf(image)}
              </CardTitle>
            </CardHeader>
            <CardBody className="sl-subtle">
              {isMedia(image)
                ? `${formatBytes(image.size)} of media`
                : [image.osType, image.virtualSize ? `${formatBytes(image.virtualSize)} disk` : ""]
                    .filter(Boolean)
                    .join(", ")}
            </CardBody>
          </Card>
        ))}
      </Gallery>
    </>
  );
}

function titleOf(image: Image): string {
  return image.displayName || image.name;
}
