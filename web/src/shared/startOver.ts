import { atBase } from "./base";

let isSettled = false;

/** Has the browser ask before this page is left while something would be lost by it. */
export function askBeforeLeaving(wouldLose: () => boolean): void {
  window.addEventListener("beforeunload", (event) => {
    if (!isSettled && wouldLose()) {
      event.preventDefault();
    }
  });
}

/**
 * Loads a page of ours anew, this one unless a path is given, without asking:
 * nothing that this one had in memory is there afterwards, and nothing that it
 * has under way goes on.
 */
export function startOver(path?: string): void {
  isSettled = true;
  if (path === undefined) {
    location.reload();
  } else {
    location.replace(atBase(path));
  }
}
