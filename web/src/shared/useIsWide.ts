import { useSyncExternalStore } from "react";

const wide = window.matchMedia("(min-width: 62rem)");

function subscribe(listener: () => void): () => void {
  wide.addEventListener("change", listener);
  return () => wide.removeEventListener("change", listener);
}

/** Whether the screen is wide enough for a table; narrower screens show cards. */
export function useIsWide(): boolean {
  return useSyncExternalStore(subscribe, () => wide.matches);
}
