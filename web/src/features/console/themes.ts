import type { ITheme } from "@xterm/xterm";

import type { ThemeName } from "./settings";

const night: ITheme = {
  background: "#10151c",
  foreground: "#d8dee6",
  cursor: "#f4c95d",
  selectionBackground: "#37506b",
  black: "#5c6773",
  red: "#ff7b72",
  green: "#7ee787",
  yellow: "#f2cc60",
  blue: "#79c0ff",
  magenta: "#d2a8ff",
  cyan: "#76e3ea",
  white: "#d8dee6",
  brightBlack: "#8b949e",
  brightRed: "#ffa198",
  brightGreen: "#aff5b4",
  brightYellow: "#f8e3a1",
  brightBlue: "#a5d6ff",
  brightMagenta: "#e2c5ff",
  brightCyan: "#b3f0ff",
  brightWhite: "#ffffff",
};

/** The palettes. All text colours have a contrast of at least 3 to the background, the common ones of 4.5. */
export const themes: Record<ThemeName, { name: string; palette: ITheme }> = {
  night: { name: "Night", palette: night },
  black: { name: "Black", palette: { ...night, background: "#000000", foreground: "#ffffff", black: "#767676" } },
  paper: {
    name: "Paper",
    palette: {
      background: "#fbfaf6",
      foreground: "#26292e",
      cursor: "#26292e",
      cursorAccent: "#fbfaf6",
      selectionBackground: "#c9ddf2",
      black: "#26292e",
      red: "#b3261e",
      green: "#1f6f2b",
      yellow: "#7d5a00",
      blue: "#1558b0",
      magenta: "#7b3fa0",
      cyan: "#0b6a72",
      white: "#6a6f76",
      brightBlack: "#5c6166",
      brightRed: "#c5362e",
      brightGreen: "#2b7a37",
      brightYellow: "#8a6500",
      brightBlue: "#2467c0",
      brightMagenta: "#8a4fb0",
      brightCyan: "#14757d",
      brightWhite: "#3a3f45",
    },
  },
  amber: {
    name: "Amber",
    palette: {
      ...night,
      background: "#17110a",
      foreground: "#ffb54a",
      cursor: "#ffd28a",
      selectionBackground: "#5c4420",
    },
  },
};
