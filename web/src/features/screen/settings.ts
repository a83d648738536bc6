/** How the user likes screens; kept in the browser. */
export interface ScreenSettings {
  /** Scaled to the place there is, rather than pixel by pixel. */
  fit: boolean;
}

const storageKey = "sandboxlabs.screen";
const defaults: ScreenSettings = { fit: true };

export function loadSettings(): ScreenSettings {
  try {
    const stored = JSON.parse(localStorage.getItem(storageKey) ?? "{}") as Partial<ScreenSettings>;
    return { fit: stored.fit !== false };
  } catch {
    return defaults; // storage is forbidden here, or holds something else
  }
}

export function saveSettings(settings: ScreenSettings): void {
  try {
    localStorage.setItem(storageKey, JSON.stringify(settings));
  } catch {
    // Storage is forbidden here: they last as long as the page.
  }
}
