/** Keys that on-screen keyboards of phones don't have. */
export type SpecialKey = "Escape" | "Tab" | "Up" | "Down" | "Left" | "Right" | "CtrlC" | "CtrlD";

const arrows = { Up: "A", Down: "B", Right: "C", Left: "D" } as const;

/** Returns what a key sends. Programs such as vi switch the arrow keys to application mode. */
export function keySequence(key: SpecialKey, applicationCursor: boolean): string {
  switch (key) {
    case "Escape":
      return "\x1b";
    case "Tab":
      return "\t";
    case "CtrlC":
      return "\x03";
    case "CtrlD":
      return "\x04";
    default:
      return `\x1b${applicationCursor ? "O" : "["}${arrows[key]}`;
  }
}

/** Returns what a character sends with Ctrl held: "\x03" for "c". Unchanged if Ctrl has no effect on it. */
export function withCtrl(text: string): string {
  if (text.length !== 1) {
    return text;
  }
  if (text === " ") {
    return "\0";
  }
  const code = text.toUpperCase().charCodeAt(0);
  return code >= 0x40 && code <= 0x5f ? String.fromCharCode(code & 0x1f) : text;
}
