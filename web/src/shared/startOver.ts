import { atBase } from "./base";

let isSettled = false;

/** Makes the browser ask before the page is left while that would lose something. */
export function askBeforeLeaving(wouldLose: () => boolean): void {
  window.addEventListener("beforeunload", (event) => {
    if (!isSettled && wouldLose()) {
      event.preventDefault();
    }
  });
}

/**
 * Reloads the page, or loads another page of the UI, without asking: everything in memory is
 * lost, and all running requests are aborted.
 */
export function startOver(path?: string): void {
  isSettled = true;
  if (path === undefined) {
    location.reload();
  } else {
    location.replace(atBase(path));
  }
}
