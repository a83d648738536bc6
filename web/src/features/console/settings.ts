/** The names of the palettes. */
export const themeNames = ["night", "black", "paper", "amber"] as const;
export type ThemeName = (typeof themeNames)[number];

/** The user's console settings, stored in the browser. */
export interface ConsoleSettings {
  /** Pixels. */
  fontSize: number;
  screenReader: boolean;
  theme: ThemeName;
}

export const fontSizes = { least: 9, most: 28 } as const;

const storageKey = "sandboxlabs.console";
// On a phone, long lines matter more than large text.
const defaults: ConsoleSettings = { fontSize: window.innerWidth < 600 ? 11 : 14, screenReader: false, theme: "night" };

export function clampFontSize(size: number): number {
  return Math.min(fontSizes.most, Math.max(fontSizes.least, Math.round(size)));
}

export function loadSettings(): ConsoleSettings {
  try {
    const stored = JSON.parse(localStorage.getItem(storageKey) ?? "{}") as Partial<ConsoleSettings>;
    return {
      fontSize: clampFontSize(Number(stored.fontSize) || defaults.fontSize),
      screenReader: stored.screenReader === true,
      theme: themeNames.find((name) => name === stored.theme) ?? defaults.theme,
    };
  } catch {
    return defaults; // storage is blocked, or contains something else
  }
}

export function saveSettings(settings: ConsoleSettings): void {
  try {
    localStorage.setItem(storageKey, JSON.stringify(settings));
  } catch {
    // Storage is blocked: the settings last as long as the page.
  }
}
