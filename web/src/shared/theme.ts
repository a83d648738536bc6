import { useSyncExternalStore } from "react";

/** The selected theme: "system" follows the browser's preference. */
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
    return "system"; // storage is blocked
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

/** Applies the theme and follows the system's setting: call once, before the first render. */
export function startTheme(): void {
  prefersDark.addEventListener("change", apply);
  apply();
}

/** Changes the theme and stores it for later visits. */
export function chooseTheme(next: ThemeChoice): void {
  choice = next;
  try {
    localStorage.setItem(storageKey, next);
  } catch {
    // Storage is blocked: the setting lasts as long as the page.
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
