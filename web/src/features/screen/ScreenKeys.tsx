import { Button } from "@patternfly/react-core";
import KeyboardIcon from "@patternfly/react-icons/dist/esm/icons/keyboard-icon";
import { type MouseEvent, useRef } from "react";

import { type Key, type Stroke, keys, strokesOf, typedChange } from "./keys";

export type Modifier = "ctrl" | "alt";

interface ScreenKeysProps {
  held: ReadonlySet<Modifier>;
  onHold: (modifier: Modifier) => void;
  onKey: (key: Key) => void;
  onStroke: (stroke: Stroke) => void;
}

const modifiers: readonly { modifier: Modifier; text: string; label: string }[] = [
  { modifier: "ctrl", text: "Ctrl", label: "Hold Control" },
  { modifier: "alt", text: "Alt", label: "Hold Alt" },
];

const row: readonly { key: Key; text: string; label: string }[] = [
  { key: keys.escape, text: "Esc", label: "Escape" },
  { key: keys.tab, text: "Tab", label: "Tab" },
  { key: keys.left, text: "←", label: "Left" },
  { key: keys.up, text: "↑", label: "Up" },
  { key: keys.down, text: "↓", label: "Down" },
  { key: keys.right, text: "→", label: "Right" },
];

/** Keeps the focus where it is, so that the on-screen keyboard stays open. */
function keepFocus(event: MouseEvent): void {
  event.preventDefault();
}

/** The initial contents of the hidden text field, so that Backspace has something to remove. */
const filling = "________";

/** Keys that phones don't have, and a button that opens the on-screen keyboard. */
export function ScreenKeys({ held, onHold, onKey, onStroke }: ScreenKeysProps) {
  const field = useRef<HTMLTextAreaElement>(null);
  const before = useRef(filling);

  const follow = (element: HTMLTextAreaElement, composing: boolean) => {
    const { removed, added } = typedChange(before.current, element.value);
    for (let n = 0; n < removed; n++) {
      onKey(keys.backspace);
    }
    strokesOf(added).strokes.forEach(onStroke);
    if (!composing) {
      element.value = filling;
    }
    before.current = element.value;
  };

  return (
    <div className="sl-keys" role="toolbar" aria-label="Keys">
      <Button
        size="sm"
        variant="control"
        icon={<KeyboardIcon />}
        aria-label="On-screen keyboard"
        onMouseDown={keepFocus}
        onClick={() => field.current?.focus({ preventScroll: true })}
      />
      <textarea
        ref={field}
        className="sl-screen__typing"
        aria-label="Input for the screen"
        tabIndex={-1}
        defaultValue={filling}
        autoCapitalize="off"
        autoComplete="off"
        autoCorrect="off"
        spellCheck={false}
        onFocus={({ currentTarget }) => currentTarget.setSelectionRange(filling.length, filling.length)}
        onInput={(event) => follow(event.currentTarget, event.nativeEvent.isComposing)}
        onCompositionEnd={(event) => follow(event.currentTarget, false)}
      />
      {modifiers.map(({ modifier, text, label }) => (
        <Button
          key={modifier}
          size="sm"
          variant={held.has(modifier) ? "primary" : "control"}
          aria-label={label}
          aria-pressed={held.has(modifier)}
          onMouseDown={keepFocus}
          onClick={() => onHold(modifier)}
        >
          {text}
        </Button>
      ))}
      {row.map(({ key, text, label }) => (
        <Button
          key={label}
          size="sm"
          variant="control"
          aria-label={label}
          onMouseDown={keepFocus}
          onClick={() => onKey(key)}
        >
          {text}
        </Button>
      ))}
    </div>
  );
}
