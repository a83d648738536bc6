import { Alert, Button, Flex, FlexItem, Progress } from "@patternfly/react-core";
import TimesIcon from "@patternfly/react-icons/dist/esm/icons/times-icon";

import { messageOf } from "../../../shared/api/problem";
import { formatBytes, formatDuration } from "../../../shared/format";
import { secondsLeft } from "../rate";
import { type Upload, uploads as sending } from "../uploads";

/** How uploads fare, each with the way to cancel it or to dismiss what became of it. */
export function UploadList({ uploads }: { uploads: readonly Upload[] }) {
  return (
    <ul className="sl-uploads" aria-label="Uploads">
      {uploads.map((upload) => (
        <li key={upload.id}>
          <UploadItem upload={upload} />
        </li>
      ))}
    </ul>
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
          <Alert component="h2" isInline isLiveRegion variant="danger" title={`${name} was not accepted`}>
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
          onClick={() => (isRunning ? sending.cancel(id) : sending.dismiss(id))}
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
