/** A key: its X11 keysym, and its position on the keyboard as in KeyboardEvent.code. */
export interface Key {
  keysym: number;
  code: string;
}

/** A key that types a character, with Shift or without. */
export interface Stroke extends Key {
  shift: boolean;
}

const fKey = (n: number): Key => ({ keysym: 0xffbd + n, code: `F${n}` });

export const keys = {
  escape: { keysym: 0xff1b, code: "Escape" },
  tab: { keysym: 0xff09, code: "Tab" },
  enter: { keysym: 0xff0d, code: "Enter" },
  backspace: { keysym: 0xff08, code: "Backspace" },
  delete: { keysym: 0xffff, code: "Delete" },
  left: { keysym: 0xff51, code: "ArrowLeft" },
  up: { keysym: 0xff52, code: "ArrowUp" },
  right: { keysym: 0xff53, code: "ArrowRight" },
  down: { keysym: 0xff54, code: "ArrowDown" },
  shift: { keysym: 0xffe1, code: "ShiftLeft" },
  ctrl: { keysym: 0xffe3, code: "ControlLeft" },
  alt: { keysym: 0xffe9, code: "AltLeft" },
  meta: { keysym: 0xffeb, code: "MetaLeft" },
  printScreen: { keysym: 0xff61, code: "PrintScreen" },
} as const satisfies Record<string, Key>;

/** Key combinations that browsers or operating systems intercept, in menu order. */
export const combinations: readonly { name: string; keys: readonly Key[] }[] = [
  { name: "Ctrl+Alt+Delete", keys: [keys.ctrl, keys.alt, keys.delete] },
  { name: "Ctrl+Alt+Backspace", keys: [keys.ctrl, keys.alt, keys.backspace] },
  ...[1, 2, 3, 7].map((n) => ({ name: `Ctrl+Alt+F${n}`, keys: [keys.ctrl, keys.alt, fKey(n)] })),
  { name: "Alt+Tab", keys: [keys.alt, keys.tab] },
  { name: "Alt+F4", keys: [keys.alt, fKey(4)] },
  { name: "Super", keys: [keys.meta] },
  { name: "Print Screen", keys: [keys.printScreen] },
  { name: "F11", keys: [fKey(11)] },
  { name: "F12", keys: [fKey(12)] },
];

/** The characters of a US keyboard's keys, without and with Shift. */
const pairs: readonly (readonly [characters: string, code: string])[] = [
  ["  ", "Space"],
  ["`~", "Backquote"],
  ["-_", "Minus"],
  ["=+", "Equal"],
  ["[{", "BracketLeft"],
  ["]}", "BracketRight"],
  ["\\|", "Backslash"],
  [";:", "Semicolon"],
  [`'"`, "Quote"],
  [",<", "Comma"],
  [".>", "Period"],
  ["/?", "Slash"],
  ...Array.from(")!@#$%^&*(", (shifted, digit) => [`${digit}${shifted}`, `Digit${digit}`] as const),
  ...Array.from("abcdefghijklmnopqrstuvwxyz", (letter) => {
    const upper = letter.toUpperCase();
    return [letter + upper, `Key${upper}`] as const;
  }),
];

const strokes = new Map<string, Stroke>([
  ["\n", { ...keys.enter, shift: false }],
  ["\t", { ...keys.tab, shift: false }],
]);
for (const [characters, code] of pairs) {
  for (const [at, character] of Array.from(characters).entries()) {
    if (!strokes.has(character)) {
      strokes.set(character, { keysym: character.charCodeAt(0), code, shift: at === 1 });
    }
  }
}

/**
 * Returns the keys that type a text on a US keyboard: screens receive keys, and the guest turns
 * them into characters by its own layout. Characters without a key are in missing, each once.
 */
export function strokesOf(text: string): { strokes: Stroke[]; missing: string } {
  const found: Stroke[] = [];
  const missing = new Set<string>();
  for (const character of text.replaceAll("\r\n", "\n")) {
    const stroke = strokes.get(character);
    if (stroke) {
      found.push(stroke);
    } else {
      missing.add(character);
    }
  }
  return { strokes: found, missing: [...missing].join("") };
}

/** What an on-screen keyboard did to a text field: it removed characters from the end, then appended some. */
export function typedChange(before: string, after: string): { removed: number; added: string } {
  const old = Array.from(before);
  const now = Array.from(after);
  let same = 0;
  while (same < old.length && same < now.length && old[same] === now[same]) {
    same++;
  }
  return { removed: old.length - same, added: now.slice(same).join("") };
}
