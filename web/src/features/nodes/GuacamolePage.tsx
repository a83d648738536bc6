import { Bullseye, Spinner } from "@patternfly/react-core";
import { useEffect } from "react";
import { useParams } from "react-router";

import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { usePageTitle } from "../../shared/usePageTitle";
import { useGuacamoleAddress } from "./api/openGuacamole";

/**
 * Redirects to a node's screen in Guacamole. Links open this page in a new tab, which browsers
 * allow because it happens on the click; the page then requests the address and goes there.
 */
export default function GuacamolePage() {
  const { id = "" } = useParams();
  const address = useGuacamoleAddress(id);
  usePageTitle("Opening Guacamole");
  useEffect(() => {
    if (address.data !== undefined) {
      location.replace(address.data);
    }
  }, [address.data]);
  return (
    <main className="sl-login">
      <h1 className="pf-v6-screen-reader">Opening Guacamole</h1>
      {address.error ? (
        <ProblemAlert title="Couldn't open Guacamole" error={address.error} onRetry={() => void address.refetch()} />
      ) : (
        <Bullseye>
          <Spinner aria-label="Opening Guacamole" />
        </Bullseye>
      )}
    </main>
  );
}
