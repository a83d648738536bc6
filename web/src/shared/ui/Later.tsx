import { Bullseye, Spinner } from "@patternfly/react-core";
import { type ReactNode, Suspense } from "react";

/** Shows a spinner until the code of its children is loaded. */
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
