import { Skeleton } from "@patternfly/react-core";

import { ProblemAlert } from "../../../shared/ui/ProblemAlert";

interface ViewStateProps {
  /** "the disks" */
  what: string;
  query: { isPending: boolean; error: unknown; refetch: () => unknown };
}

/** Stands for what is not there yet, or says why it cannot be shown. */
export function ViewState({ what, query }: ViewStateProps) {
  if (query.error) {
    return (
      <ProblemAlert
        title={`${what.charAt(0).toUpperCase()}${what.slice(1)} cannot be shown`}
        error={query.error}
        onRetry={() => void query.refetch()}
      />
    );
  }
  return query.isPending ? <Skeleton height="8rem" screenreaderText={`Loading ${what}`} /> : null;
}
