import { Dropdown, DropdownList, MenuToggle, type MenuToggleProps } from "@patternfly/react-core";
import { type ReactNode, useState } from "react";

interface MenuProps {
  /** Names the button for screen readers. */
  label: string;
  icon?: ReactNode;
  /** Text on the button; without it the button is the icon alone. */
  text?: ReactNode;
  variant?: NonNullable<MenuToggleProps["variant"]>;
  className?: string;
  /** The edge of the button that the menu is flush with. */
  position?: "left" | "right";
  /** DropdownItems. */
  children: ReactNode;
}

/** A button that opens a menu below it. */
export function Menu({ label, icon, text, variant = "plain", className, position = "right", children }: MenuProps) {
  const [isOpen, setOpen] = useState(false);
  return (
    <Dropdown
      isOpen={isOpen}
      onOpenChange={setOpen}
      onSelect={() => setOpen(false)}
      shouldFocusToggleOnSelect
      shouldFocusFirstItemOnOpen
      popperProps={{ position }}
      toggle={(ref) => (
        <MenuToggle
          ref={ref}
          variant={variant}
          icon={icon}
          isExpanded={isOpen}
          {...(className === undefined ? {} : { className })}
          aria-label={label}
          onClick={() => setOpen(!isOpen)}
        >
          {text}
        </MenuToggle>
      )}
    >
      <DropdownList>{children}</DropdownList>
    </Dropdown>
  );
}
