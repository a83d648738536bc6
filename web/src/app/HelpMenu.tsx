import { DropdownItem } from "@patternfly/react-core";
import QuestionCircleIcon from "@patternfly/react-icons/dist/esm/icons/question-circle-icon";

import { Menu } from "../shared/ui/Menu";

/** The way to what is written about the service. */
export function HelpMenu() {
  return (
    <Menu label="Help" icon={<QuestionCircleIcon />}>
      <DropdownItem to="/api/docs" target="_blank" rel="noreferrer" description="Try every request from the browser">
        API documentation
      </DropdownItem>
      <DropdownItem to="/api/openapi.json" target="_blank" rel="noreferrer" description="For generated clients">
        OpenAPI description
      </DropdownItem>
    </Menu>
  );
}
