import { DropdownItem } from "@patternfly/react-core";
import BarsIcon from "@patternfly/react-icons/dist/esm/icons/bars-icon";
import { useNavigate } from "react-router";

import { Menu } from "../shared/ui/Menu";

export interface Place {
  to: string;
  text: string;
  isCurrent: boolean;
}

/** The main navigation as a menu, for narrow screens. */
export function NavMenu({ places }: { places: readonly Place[] }) {
  const navigate = useNavigate();
  return (
    <Menu label="Menu" icon={<BarsIcon />} position="left" className="sl-nav-menu">
      {places.map(({ to, text, isCurrent }) => (
        <DropdownItem key={to} isSelected={isCurrent} onClick={() => void navigate(to)}>
          {text}
        </DropdownItem>
      ))}
    </Menu>
  );
}
