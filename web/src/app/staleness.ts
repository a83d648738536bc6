const storageKey = "sandboxlabs.reloaded";
const notAgainFor = 10_000;

/**
 * Reloads the page when a part of it cannot be loaded: the network changed, or
 * the service has another version by now, whose parts are called otherwise. Not
 * twice in a row: then the page tells that it failed.
 */
export function reloadWhenPartsAreMissing(): void {
  window.addEventListener("vite:preloadError", (event) => {
    try {
      if (Date.now() - Number(sessionStorage.getItem(storageKey)) < notAgainFor) {
        return;
      }
      sessionStorage.setItem(storageKey, String(Date.now()));
    } catch {
      return; // storage is forbidden here: nothing would keep it from going on for ever
    }
    event.preventDefault();
    location.reload();
  });
}
