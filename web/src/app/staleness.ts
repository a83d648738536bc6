const storageKey = "sandboxlabs.reloaded";
const notAgainFor = 10_000;

/**
 * Reloads the page when one of its chunks cannot be loaded: the network changed, or the
 * service was upgraded and its chunks have other names. It doesn't reload twice in a row:
 * the page shows an error instead.
 */
export function reloadWhenPartsAreMissing(): void {
  window.addEventListener("vite:preloadError", (event) => {
    try {
      if (Date.now() - Number(sessionStorage.getItem(storageKey)) < notAgainFor) {
        return;
      }
      sessionStorage.setItem(storageKey, String(Date.now()));
    } catch {
      return; // storage is blocked: nothing would stop an endless loop of reloads
    }
    event.preventDefault();
    location.reload();
  });
}
