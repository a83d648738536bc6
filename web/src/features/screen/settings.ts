/** The user's screen settings, stored in the browser. */
export interface ScreenSettings {
  /** Scaled to fit instead of pixel by pixel. */
  fit: boolean;
}

const storageKey = "sandboxlabs.screen";
const defaults: ScreenSettings = { fit: true };

export function loadSettings(): ScreenSettings {
  try {
    const stored = JSON.parse(localStorage.getItem(storageKey) ?? "{}") as Partial<ScreenSettings>;
    return { fit: stored.fit !== false };
  } catch {
    return defaults; // storage is blocked, or contains something else
  }
}

export function saveSettings(settings: ScreenSettings): void {
  try {
    localStorage.setItem(storageKey, JSON.stringify(settings));
  } catch {
    // Storage is blocked: the settings last as long as the page.
  }
}
