import { Button } from "@patternfly/react-core";
import PlayIcon from "@patternfly/react-icons/dist/esm/icons/play-icon";

import type { Node } from "../../../shared/api/types";
import { useToasts } from "../../../shared/ui/toasts";
import { isOffered } from "../actions";
import { useLifecycle } from "../api/lifecycle";

/** Starts a stopped node; renders nothing while it can't be started. */
export function StartButton({ node }: { node: Node }) {
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
      onClick={() =>
        void lifecycle
          .mutateAsync("run")
          .catch((error: unknown) => toasts.failure(`Couldn't start ${node.name}`, error))
      }
    >
      Start {node.name}
    </Button>
  );
}
