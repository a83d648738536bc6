import { Button, Tooltip } from "@patternfly/react-core";
import type { ReactNode } from "react";

interface ToolButtonProps {
  /** The tooltip and accessible name. */
  label: string;
  icon: ReactNode;
  /** For toggle buttons: whether it is on. */
  pressed?: boolean;
  isDisabled?: boolean;
  onClick: () => void | Promise<void>;
}

/** A toolbar button: an icon with a tooltip. */
export function ToolButton({ label, icon, pressed, isDisabled = false, onClick }: ToolButtonProps) {
  return (
    <Tooltip content={label} aria="none">
      <Button
        variant="plain"
        size="sm"
        icon={icon}
        aria-label={label}
        isDisabled={isDisabled}
        {...(pressed === undefined ? {} : { "aria-pressed": pressed, isClicked: pressed })}
        onClick={() => void onClick()}
      />
    </Tooltip>
  );
}
