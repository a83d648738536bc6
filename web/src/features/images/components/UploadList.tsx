import { Alert, Button, Flex, FlexItem, Progress, type ProgressProps } from "@patternfly/react-core";
import TimesIcon from "@patternfly/react-icons/dist/esm/icons/times-icon";

import { messageOf } from "../../../shared/api/problem";
import { formatBytes, formatDuration } from "../../../shared/format";
import { secondsLeft } from "../rate";
import { type Upload, uploads as sending } from "../uploads";

/** The progress of uploads, with a way to cancel each or to dismiss its outcome. */
export function UploadList({ uploads }: { uploads: readonly Upload[] }) {
  return (
    <ul className="sl-uploads" aria-label="Uploads">
      {uploads.map((upload) => (
        <li key={upload.id} data-upload={upload.name} data-upload-state={upload.state}>
          <UploadItem upload={upload} />
        </li>
      ))}
    </ul>
  );
}

function UploadItem({ upload }: { upload: Upload }) {
  const { id, name, state, size, sent, image } = upload;
  const isOver = state === "done" || state === "failed";
  const percent = size === 0 ? 100 : Math.floor((sent / size) * 100);
  return (
    <Flex flexWrap={{ default: "nowrap" }} alignItems={{ default: "alignItemsFlexStart" }}>
      <FlexItem flex={{ default: "flex_1" }} className="sl-break">
        {state === "failed" || image?.state === "rejected" ? (
          <Alert component="h2" isInline isLiveRegion variant="danger" title={`Couldn't upload ${name}`}>
            {image?.reason ?? messageOf(upload.error)}
          </Alert>
        ) : (
          <Progress
            id={`upload-${id}`}
            title={name}
            value={percent}
            helperText={progressText(upload)}
            {...variantOf(upload)}
          />
        )}
      </FlexItem>
      <FlexItem>
        <Button
          variant="plain"
          icon={<TimesIcon />}
          aria-label={isOver || state === "checking" ? `Dismiss ${name}` : `Cancel the upload of ${name}`}
          onClick={() => (isOver || state === "checking" ? sending.dismiss(id) : sending.cancel(id))}
        />
      </FlexItem>
    </Flex>
  );
}

function variantOf({ state }: Upload): Pick<ProgressProps, "variant"> {
  return state === "done" ? { variant: "success" } : state === "interrupted" ? { variant: "warning" } : {};
}

function progressText({ state, size, sent, rate, image }: Upload): string {
  const amount = `${formatBytes(sent)} of ${formatBytes(size)}`;
  switch (state) {
    case "waiting":
      return `${formatBytes(size)}, queued`;
    case "interrupted":
      return `${amount} sent. Connection lost. Reconnecting…`;
    case "checking":
      return "Verifying…";
    case "done":
      return image?.state === "ready" ? "Ready to use" : "Uploaded";
    case "failed":
      return "";
    case "sending": {
      const left = secondsLeft(size, sent, rate);
      return left === null ? amount : `${amount}, ${formatBytes(Math.round(rate))}/s, ${formatDuration(left)} left`;
    }
  }
}
