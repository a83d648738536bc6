import { Alert, AlertActionLink } from "@patternfly/react-core";

import { messageOf } from "../api/problem";

interface ProblemAlertProps {
  /** What failed: "Couldn't load the nodes". */
  title: string;
  error: unknown;
  onRetry?: () => void;
}

/** Shows inline what failed and what to do, with a button to try again. */
export function ProblemAlert({ title, error, onRetry }: ProblemAlertProps) {
  return (
    <Alert
      isInline
      isLiveRegion
      variant="danger"
      title={title}
      component="h2"
      actionLinks={onRetry && <AlertActionLink onClick={onRetry}>Try again</AlertActionLink>}
    >
      {messageOf(error)}
    </Alert>
  );
}
