import { Bullseye, Spinner } from "@patternfly/react-core";
import { useEffect } from "react";
import { useParams } from "react-router";

import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { usePageTitle } from "../../shared/usePageTitle";
import { useGuacamoleAddress } from "./api/openGuacamole";

/**
 * Leads on to a node's screen in Guacamole. It is what the new tab shows first:
 * a link to it opens the tab at once, which browsers allow, and the address to
 * go to is asked for there.
 */
export default function GuacamolePage() {
  const { id = "" } = useParams();
  const address = useGuacamoleAddress(id);
  usePageTitle("To Guacamole");
  useEffect(() => {
    if (address.data !== undefined) {
      location.replace(address.data);
    }
  }, [address.data]);
  return (
    <main className="sl-login">
      <h1 className="pf-v6-screen-reader">To Guacamole</h1>
      {address.error ? (
        <ProblemAlert
          title="Guacamole cannot be opened"
          error={address.error}
          onRetry={() => void address.refetch()}
        />
      ) : (
        <Bullseye>
          <Spinner aria-label="Opening Guacamole" />
        </Bullseye>
      )}
    </main>
  );
}
