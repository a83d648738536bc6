import { Alert, Button, Flex, FlexItem, Progress } from "@patternfly/react-core";
import TimesIcon from "@patternfly/react-icons/dist/esm/icons/times-icon";
import UploadIcon from "@patternfly/react-icons/dist/esm/icons/upload-icon";
import { useQueryClient } from "@tanstack/react-query";
import { type DragEvent, useRef, useState } from "react";

import { messageOf } from "../../shared/api/problem";
import type { Image } from "../../shared/api/types";
import { formatBytes, formatDuration } from "../../shared/format";
import { imagesKey } from "./api/listImages";
import { secondsLeft } from "./rate";
import { type Upload, uploads, useUploads } from "./uploads";

interface UploadPanelProps {
  /** Called with each image that was uploaded and accepted. */
  onUploaded?: (image: Image) => void;
}

/** Takes images by drag and drop or from the file dialog, and shows how each of them fares. */
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
    <div className="sl-upload">
      <div
        className={isOver ? "sl-dropzone sl-dropzone--over" : "sl-dropzone"}
        onDragEnter={(event) => over(event, true)}
        onDragOver={(event) => over(event, true)}
        onDragLeave={(event) => over(event, false)}
        onDrop={(event) => {
          over(event, false);
          take(event.dataTransfer.files);
        }}
      >
        <UploadIcon className="sl-dropzone__icon" />
        <div>
          <strong>Drop disk images here</strong>
          <div className="sl-subtle">qcow2 files. Nothing boots from an image before it has been verified.</div>
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
            event.target.value = ""; // the same file may be chosen again
          }}
        />
      </div>
      {current.length > 0 && (
        <ul className="sl-upload__list" aria-label="Uploads">
          {current.map((upload) => (
            <li key={upload.id}>
              <UploadItem upload={upload} />
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function UploadItem({ upload }: { upload: Upload }) {
  const { id, name, state, size, sent } = upload;
  const isRunning = state === "sending" || state === "checking";
  const percent = size === 0 ? 100 : Math.floor((sent / size) * 100);
  return (
    <Flex flexWrap={{ default: "nowrap" }} alignItems={{ default: "alignItemsFlexStart" }}>
      <FlexItem flex={{ default: "flex_1" }} className="sl-break">
        {state === "failed" ? (
          <Alert isInline isLiveRegion variant="danger" title={`${name} was not accepted`}>
            {messageOf(upload.error)}
          </Alert>
        ) : (
          <Progress
            id={`upload-${id}`}
            title={name}
            value={percent}
            helperText={progressText(upload)}
            {...(state === "done" ? { variant: "success" as const } : {})}
          />
        )}
      </FlexItem>
      <FlexItem>
        <Button
          variant="plain"
          icon={<TimesIcon />}
          aria-label={isRunning ? `Cancel the upload of ${name}` : `Dismiss ${name}`}
          onClick={() => (isRunning ? uploads.cancel(id) : uploads.dismiss(id))}
        />
      </FlexItem>
    </Flex>
  );
}

function progressText({ state, size, sent, rate, image }: Upload): string {
  switch (state) {
    case "checking":
      return "All is sent. The service verifies the image…";
    case "done":
      return image?.state === "ready" ? "Ready for use" : "Uploaded";
    case "failed":
      return "";
    case "sending": {
      const left = secondsLeft(size, sent, rate);
      const amount = `${formatBytes(sent)} of ${formatBytes(size)}`;
      return left === null
        ? amount
        : `${amount}, ${formatBytes(Math.round(rate))}/s, ${formatDuration(left)} left`;
    }
  }
}
