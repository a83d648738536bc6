import { Dropdown, DropdownList, MenuToggle, type MenuToggleProps } from "@patternfly/react-core";
import { type ReactNode, useState } from "react";

interface MenuProps {
  /** The accessible name of the button. */
  label: string;
  icon?: ReactNode;
  /** The button's text; without it the button is only an icon. */
  text?: ReactNode;
  variant?: NonNullable<MenuToggleProps["variant"]>;
  className?: string;
  /** The edge of the button that the menu is aligned to. */
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
