import { Bullseye, Spinner } from "@patternfly/react-core";
import { type ReactNode, Suspense } from "react";

/** Shows that something is loaded until its code is there. */
export function Later({ what, children }: { what: string; children: ReactNode }) {
  return (
    <Suspense
      fallback={
        <Bullseye className="sl-fill">
          <Spinner aria-label={`Loading ${what}`} />
        </Bullseye>
      }
    >
      {children}
    </Suspense>
  );
}
