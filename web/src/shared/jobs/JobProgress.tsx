import { Button, Flex, FlexItem, Progress } from "@patternfly/react-core";
import TimesIcon from "@patternfly/react-icons/dist/esm/icons/times-icon";
import { useId } from "react";

import type { Job } from "../api/types";
import { formatBytes, formatDuration } from "../format";
import { useToasts } from "../ui/toasts";
import { useCancelJob } from "./jobs";
import { jobTitle } from "./liveJobs";

interface JobProgressProps {
  job: Job;
  /** Shown above the bar; the kind of job by default. */
  title?: string;
}

/** The progress of a job with its rate and remaining time, and a button to cancel it. */
export function JobProgress({ job, title = jobTitle(job) }: JobProgressProps) {
  const id = useId();
  const cancel = useCancelJob(job.id);
  const toasts = useToasts();
  const percent = job.total > 0 ? Math.min(100, Math.floor((job.done / job.total) * 100)) : 0;
  return (
    <Flex flexWrap={{ default: "nowrap" }} alignItems={{ default: "alignItemsFlexStart" }} data-job={job.kind}>
      <FlexItem flex={{ default: "flex_1" }} className="sl-break">
        <Progress
          id={id}
          size="sm"
          title={title}
          value={percent}
          valueText={progressOf(job)}
          helperText={progressOf(job)}
        />
      </FlexItem>
      <FlexItem>
        <Button
          variant="plain"
          icon={<TimesIcon />}
          aria-label={`Cancel: ${title}`}
          isDisabled={job.state === "cancelling" || cancel.isPending}
          onClick={() =>
            cancel.mutate(undefined, { onError: (error) => toasts.failure("Couldn't cancel the job", error) })
          }
        />
      </FlexItem>
    </Flex>
  );
}

/** The progress of a job in words. */
export function progressOf({
  state,
  step,
  unit,
  done,
  total,
  rate,
  etaSeconds,
  attempt,
  nextAttempt,
  error,
}: Job): string {
  if (state === "queued") {
    return attempt > 0 && nextAttempt !== undefined ? `Failed; retrying${error ? `: ${error.detail}` : ""}` : "Queued";
  }
  if (state === "cancelling") {
    return "Cancelling";
  }
  const amount = unit === "bytes" ? formatBytes : String;
  return [
    (step ?? "Running").replace(/^./, (first) => first.toUpperCase()),
    total > 0 ? `${amount(done)} of ${amount(total)}` : done > 0 ? amount(done) : "",
    rate > 0 ? `${amount(rate)}/s` : "",
    etaSeconds === undefined ? "" : `${formatDuration(etaSeconds)} left`,
  ]
    .filter(Boolean)
    .join(", ");
}
