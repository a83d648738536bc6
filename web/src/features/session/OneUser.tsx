import { Bullseye, Spinner } from "@patternfly/react-core";
import { type ReactNode, useEffect, useState } from "react";

import { startOver } from "../../shared/startOver";
import { useSession } from "./api/session";

/**
 * Keeps the data in this tab's memory to one user. If the same user signs in again after their
 * session expired, the data is kept; for another user the page is reloaded.
 */
export function OneUser({ children }: { children: ReactNode }) {
  const name = useSession().data?.user.name;
  const [owner, setOwner] = useState(name);
  if (owner === undefined && name !== undefined) {
    setOwner(name);
  }
  const isAnother = owner !== undefined && name !== undefined && name !== owner;
  useEffect(() => {
    if (isAnother) {
      startOver();
    }
  }, [isAnother]);
  return isAnother ? (
    <Bullseye className="sl-fill">
      <Spinner aria-label="Loading" />
    </Bullseye>
  ) : (
    children
  );
}
