import { Alert, AlertActionLink } from "@patternfly/react-core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useRef } from "react";

import { formatBytes } from "../../../shared/format";
import { useToasts } from "../../../shared/ui/toasts";
import { discardUpload, offsetOf } from "../api/uploadImage";
import { type StoredUpload, useStoredUploads } from "../interrupted";
import { useUploads } from "../uploads";

/** Uploads that were interrupted by a reload or a closed tab, with a way to resume each. */
export function InterruptedList({ onFiles }: { onFiles: (files: FileList | null) => void }) {
  const stored = useStoredUploads();
  const current = useUploads();
  const interrupted = stored.filter(
    ({ name, size }) => !current.some((upload) => upload.name === name && upload.size === size),
  );
  return (
    <>
      {interrupted.map((upload) => (
        <Interrupted key={upload.url} upload={upload} onFiles={onFiles} />
      ))}
    </>
  );
}

interface InterruptedProps {
  upload: StoredUpload;
  onFiles: (files: FileList | null) => void;
}

function Interrupted({ upload: { url, name, size }, onFiles }: InterruptedProps) {
  const input = useRef<HTMLInputElement>(null);
  const toasts = useToasts();
  const offset = useQuery({ queryKey: ["uploads", url], queryFn: () => offsetOf(url), staleTime: 0, gcTime: 0 });
  const discard = useMutation({ mutationFn: () => discardUpload(url) });
  if (offset.data === undefined || offset.data === null || offset.data >= size) {
    return null; // it belongs to another user, has expired, or is complete
  }
  return (
    <Alert
      isInline
      variant="info"
      data-interrupted={name}
      title={`The upload of ${name} was interrupted`}
      actionLinks={
        <>
          <AlertActionLink onClick={() => input.current?.click()}>Select file to resume</AlertActionLink>
          <AlertActionLink
            isDisabled={discard.isPending}
            onClick={() =>
              discard.mutate(undefined, {
                onError: (error) => toasts.failure(`Couldn't discard the upload of ${name}`, error),
              })
            }
          >
            Discard
          </AlertActionLink>
        </>
      }
    >
      {formatBytes(offset.data)} of {formatBytes(size)} uploaded. Select the same file again to resume.
      <input
        ref={input}
        hidden
        type="file"
        aria-label={`Select ${name} to resume its upload`}
        onChange={(event) => {
          onFiles(event.target.files);
          event.target.value = "";
        }}
      />
    </Alert>
  );
}
