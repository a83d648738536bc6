import { Skeleton } from "@patternfly/react-core";

import { ProblemAlert } from "../../../shared/ui/ProblemAlert";

interface ViewStateProps {
  /** "the disks" */
  what: string;
  query: { isPending: boolean; error: unknown; refetch: () => unknown };
}

/** A placeholder while data is loading, or the reason why it couldn't be loaded. */
export function ViewState({ what, query }: ViewStateProps) {
  if (query.error) {
    return <ProblemAlert title={`Couldn't load ${what}`} error={query.error} onRetry={() => void query.refetch()} />;
  }
  return query.isPending ? <Skeleton height="8rem" screenreaderText={`Loading ${what}`} /> : null;
}
