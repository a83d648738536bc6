import { Button } from "@patternfly/react-core";
import type { MouseEvent } from "react";

import type { SpecialKey } from "./keys";

interface KeyRowProps {
  ctrlHeld: boolean;
  onCtrl: () => void;
  onKey: (key: SpecialKey) => void;
}

const keys: readonly { key: SpecialKey; text: string; label?: string }[] = [
  { key: "Escape", text: "Esc" },
  { key: "Tab", text: "Tab" },
  { key: "Left", text: "←", label: "Left" },
  { key: "Up", text: "↑", label: "Up" },
  { key: "Down", text: "↓", label: "Down" },
  { key: "Right", text: "→", label: "Right" },
  { key: "CtrlC", text: "^C", label: "Control C" },
  { key: "CtrlD", text: "^D", label: "Control D" },
];

/** Keeps the focus in the terminal, so that the on-screen keyboard stays open. */
function keepFocus(event: MouseEvent): void {
  event.preventDefault();
}

/** Keys that on-screen keyboards don't have. Ctrl is held until the next key. */
export function KeyRow({ ctrlHeld, onCtrl, onKey }: KeyRowProps) {
  return (
    <div className="sl-keys" role="toolbar" aria-label="Special keys">
      <Button
        size="sm"
        variant={ctrlHeld ? "primary" : "control"}
        aria-label="Ctrl, held until the next key"
        aria-pressed={ctrlHeld}
        onMouseDown={keepFocus}
        onClick={onCtrl}
      >
        Ctrl
      </Button>
      {keys.map(({ key, text, label }) => (
        <Button
          key={key}
          size="sm"
          variant="control"
          {...(label === undefined ? {} : { "aria-label": label })}
          onMouseDown={keepFocus}
          onClick={() => onKey(key)}
        >
          {text}
        </Button>
      ))}
    </div>
  );
}
