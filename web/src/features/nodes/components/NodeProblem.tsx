import { Label, Tooltip } from "@patternfly/react-core";
import ExclamationTriangleIcon from "@patternfly/react-icons/dist/esm/icons/exclamation-triangle-icon";

import type { Node } from "../../../shared/api/types";

/** Marks a node with a problem, such as a missing network or file; the tooltip describes it. */
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
