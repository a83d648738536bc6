import { Bullseye, Spinner } from "@patternfly/react-core";

/** A placeholder for a part of the log. */
export function LogLoading() {
  return (
    <Bullseye>
      <Spinner aria-label="Loading the log" />
    </Bullseye>
  );
}
