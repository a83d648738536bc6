import { Button } from "@patternfly/react-core";
import UploadIcon from "@patternfly/react-icons/dist/esm/icons/upload-icon";
import { useQueryClient } from "@tanstack/react-query";
import { type DragEvent, useRef, useState } from "react";

import type { Image } from "../../shared/api/types";
import { imagesKey } from "./api/listImages";
import { InterruptedList } from "./components/InterruptedList";
import { UploadList } from "./components/UploadList";
import { takenFormats } from "./formats";
import { uploads, useUploads } from "./uploads";

interface UploadPanelProps {
  /** Called with each image that was uploaded and verified. */
  onUploaded?: (image: Image) => void;
}

/** Uploads images by drag and drop or from the file dialog, and shows their progress. */
export function UploadPanel({ onUploaded }: UploadPanelProps) {
  const [isOver, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const queries = useQueryClient();
  const current = useUploads();

  const send = async (file: File) => {
    const image = await uploads.start(file);
    await queries.invalidateQueries({ queryKey: imagesKey });
    if (image?.state === "ready") {
      onUploaded?.(image);
    }
  };
  const take = (files: FileList | null) => {
    for (const file of files ?? []) {
      void send(file);
    }
  };
  const over = (event: DragEvent, isHere: boolean) => {
    event.preventDefault();
    setOver(isHere);
  };
  return (
    <div
      className="sl-upload"
      onDragEnter={(event) => over(event, true)}
      onDragOver={(event) => over(event, true)}
      onDragLeave={(event) => over(event, false)}
      onDrop={(event) => {
        over(event, false);
        take(event.dataTransfer.files);
      }}
    >
      <div className={isOver ? "sl-dropzone sl-dropzone--over" : "sl-dropzone"}>
        <UploadIcon className="sl-dropzone__icon" />
        <div>
          <strong>Drop disk images here</strong>
          <div className="sl-subtle">{takenFormats} Images are verified before use.</div>
        </div>
        <Button variant="secondary" onClick={() => input.current?.click()}>
          Browse files
        </Button>
        <input
          ref={input}
          hidden
          type="file"
          multiple
          aria-label="Disk images to upload"
          onChange={(event) => {
            take(event.target.files);
            event.target.value = ""; // allows selecting the same file again
          }}
        />
      </div>
      <div className="sl-upload__list">
        <InterruptedList onFiles={take} />
        {current.length > 0 && <UploadList uploads={current} />}
      </div>
    </div>
  );
}
