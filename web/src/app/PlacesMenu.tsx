import { DropdownItem } from "@patternfly/react-core";
import BarsIcon from "@patternfly/react-icons/dist/esm/icons/bars-icon";
import { useNavigate } from "react-router";

import { Menu } from "../shared/ui/Menu";

export interface Place {
  to: string;
  text: string;
  isCurrent: boolean;
}

/** The places of the UI where there is no room for them side by side. */
export function PlacesMenu({ places }: { places: readonly Place[] }) {
  const navigate = useNavigate();
  return (
    <Menu label="Places" icon={<BarsIcon />} position="left" className="sl-places">
      {places.map(({ to, text, isCurrent }) => (
        <DropdownItem key={to} isSelected={isCurrent} onClick={() => void navigate(to)}>
          {text}
        </DropdownItem>
      ))}
    </Menu>
  );
}
