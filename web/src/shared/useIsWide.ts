import { useSyncExternalStore } from "react";

const wide = window.matchMedia("(min-width: 62rem)");

function subscribe(listener: () => void): () => void {
  wide.addEventListener("change", listener);
  return () => wide.removeEventListener("change", listener);
}

/** Whether there is room for a table; on narrower screens cards are shown. */
export function useIsWide(): boolean {
  return useSyncExternalStore(subscribe, () => wide.matches);
}
