import { useSyncExternalStore } from "react";

/** What the user chose: "system" follows the browser's preference as it changes. */
export type ThemeChoice = "system" | "light" | "dark";

const storageKey = "sandboxlabs.theme";
const darkClass = "pf-v6-theme-dark";
const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

let choice = readChoice();

function readChoice(): ThemeChoice {
  try {
    const stored = localStorage.getItem(storageKey);
    return stored === "light" || stored === "dark" ? stored : "system";
  } catch {
    return "system"; // storage is forbidden here
  }
}

function isDark(): boolean {
  return choice === "dark" || (choice === "system" && prefersDark.matches);
}

function apply(): void {
  document.documentElement.classList.toggle(darkClass, isDark());
  document.documentElement.style.colorScheme = isDark() ? "dark" : "light";
  for (const listener of listeners) {
    listener();
  }
}

/** Puts the theme on the page and keeps following the system: call once, before the first render. */
export function startTheme(): void {
  prefersDark.addEventListener("change", apply);
  apply();
}

/** Changes the theme at once and for later visits. */
export function chooseTheme(next: ThemeChoice): void {
  choice = next;
  try {
    localStorage.setItem(storageKey, next);
  } catch {
    // Storage is forbidden here: the choice lasts as long as the page.
  }
  apply();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useThemeChoice(): ThemeChoice {
  return useSyncExternalStore(subscribe, () => choice);
}

export function useIsDark(): boolean {
  return useSyncExternalStore(subscribe, isDark);
}
