import { Label, Tooltip } from "@patternfly/react-core";
import ExclamationTriangleIcon from "@patternfly/react-icons/dist/esm/icons/exclamation-triangle-icon";

import type { Node } from "../../../shared/api/types";

/** Marks a node that lacks something, such as a network or a file; the tooltip says what. */
export function NodeProblem({ node: { problem } }: { node: Pick<Node, "problem"> }) {
  if (!problem) {
    return null;
  }
  return (
    <Tooltip content={problem}>
      <Label color="orange" icon={<ExclamationTriangleIcon />} tabIndex={0} data-problem>
        Problem
      </Label>
    </Tooltip>
  );
}
