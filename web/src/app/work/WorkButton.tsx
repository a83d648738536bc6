import { Badge, Button } from "@patternfly/react-core";
import InProgressIcon from "@patternfly/react-icons/dist/esm/icons/in-progress-icon";
import TasksIcon from "@patternfly/react-icons/dist/esm/icons/tasks-icon";

import { plural } from "../../shared/format";
import { useWork } from "./useWork";

interface WorkButtonProps {
  isOpen: boolean;
  onToggle: () => void;
}

/** Shows the number of running tasks on every page, and opens their list. */
export function WorkButton({ isOpen, onToggle }: WorkButtonProps) {
  const { running } = useWork();
  return (
    <Button
      variant="plain"
      aria-label={running === 0 ? "Activity" : `Activity: ${plural(running, "task")} running`}
      aria-expanded={isOpen}
      data-running-work={running}
      icon={running > 0 ? <InProgressIcon className="sl-spin" /> : <TasksIcon />}
      onClick={onToggle}
    >
      {running > 0 && <Badge screenReaderText="in progress">{running}</Badge>}
    </Button>
  );
}
