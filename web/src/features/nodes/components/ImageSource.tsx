import { Alert, ToggleGroup, ToggleGroupItem } from "@patternfly/react-core";
import { type ReactNode, useState } from "react";

import type { Image } from "../../../shared/api/types";
import { isMedia } from "../spec";
import { ImageChoice } from "./ImageChoice";

type Source = "base" | "custom" | "media" | "upload";

const texts: Record<Exclude<Source, "upload">, string> = {
  base: "Base images",
  custom: "Custom images",
  media: "Installation media",
};

interface ImageSourceProps {
  /** The selectable images. */
  images: readonly Image[];
  chosen: Image | undefined;
  onChoose: (image: Image) => void;
  /** Renders an upload area that calls onUploaded with each finished image. */
  upload: (onUploaded: (image: Image) => void) => ReactNode;
}

function sourceOf(image: Image): Exclude<Source, "upload"> {
  return isMedia(image) ? "media" : image.type;
}

/** Selects an image for a new node by kind, or uploads one. */
export function ImageSource({ images, chosen, onChoose, upload }: ImageSourceProps) {
  const [picked, setPicked] = useState<Source | null>(null);
  const of = (source: Source) => images.filter((image) => sourceOf(image) === source);
  const shown: Source = picked ?? (chosen ? sourceOf(chosen) : "upload");
  return (
    <>
      <ToggleGroup aria-label="Image source" className="sl-sources">
        {(["base", "custom", "media"] as const)
          .filter((source) => of(source).length > 0 || source === shown)
          .map((source) => (
            <ToggleGroupItem
              key={source}
              buttonId={`source-${source}`}
              text={`${texts[source]} ${of(source).length}`}
              isSelected={shown === source}
              onChange={() => {
                setPicked(source);
                const [first] = of(source);
                if (first && (!chosen || sourceOf(chosen) !== source)) {
                  onChoose(first);
                }
              }}
            />
          ))}
        <ToggleGroupItem
          buttonId="source-upload"
          text="Upload"
          isSelected={shown === "upload"}
          onChange={() => setPicked("upload")}
        />
      </ToggleGroup>
      {shown === "upload" ? (
        <>
          {images.length === 0 && (
            <Alert
              component="h2"
              isInline
              isPlain
              variant="info"
              title="No images yet. Upload one, or pull one from the catalogue."
            />
          )}
          {upload((image) => {
            setPicked(null);
            onChoose(image);
          })}
        </>
      ) : (
        <>
          <ImageChoice images={of(shown)} chosen={chosen?.id ?? ""} onChoose={onChoose} />
          {shown === "media" && (
            <p className="sl-subtle sl-sources__note">The node starts from this ISO with an empty disk.</p>
          )}
        </>
      )}
    </>
  );
}
