import { Button } from "@patternfly/react-core";
import PlayIcon from "@patternfly/react-icons/dist/esm/icons/play-icon";

import type { Node } from "../../../shared/api/types";
import { useToasts } from "../../../shared/ui/toasts";
import { isOffered } from "../actions";
import { useLifecycle } from "../api/lifecycle";

/** Runs a node that is off; nothing while it cannot be run. */
export function RunButton({ node }: { node: Node }) {
  const lifecycle = useLifecycle(node.id);
  const toasts = useToasts();
  if (!isOffered("run", node)) {
    return null;
  }
  return (
    <Button
      size="sm"
      icon={<PlayIcon />}
      isLoading={lifecycle.isPending}
      isDisabled={lifecycle.isPending}
      onClick={() => void lifecycle.mutateAsync("run").catch((error: unknown) => toasts.failure(`${node.name} does not run`, error))}
    >
      Run {node.name}
    </Button>
  );
}
