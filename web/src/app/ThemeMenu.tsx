import { DropdownItem } from "@patternfly/react-core";
import DesktopIcon from "@patternfly/react-icons/dist/esm/icons/desktop-icon";
import MoonIcon from "@patternfly/react-icons/dist/esm/icons/moon-icon";
import SunIcon from "@patternfly/react-icons/dist/esm/icons/sun-icon";

import { type ThemeChoice, chooseTheme, useIsDark, useThemeChoice } from "../shared/theme";
import { Menu } from "../shared/ui/Menu";

const choices: readonly { value: ThemeChoice; text: string; icon: React.ReactNode }[] = [
  { value: "system", text: "Use system setting", icon: <DesktopIcon /> },
  { value: "light", text: "Light", icon: <SunIcon /> },
  { value: "dark", text: "Dark", icon: <MoonIcon /> },
];

/** Selects the light or the dark theme. */
export function ThemeMenu() {
  const chosen = useThemeChoice();
  const isDark = useIsDark();
  return (
    <Menu label="Theme" icon={isDark ? <MoonIcon /> : <SunIcon />}>
      {choices.map(({ value, text, icon }) => (
        <DropdownItem key={value} icon={icon} isSelected={value === chosen} onClick={() => chooseTheme(value)}>
          {text}
        </DropdownItem>
      ))}
    </Menu>
  );
}
