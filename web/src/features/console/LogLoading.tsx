import { Bullseye, Spinner } from "@patternfly/react-core";

/** Stands where a part of the log will be. */
export function LogLoading() {
  return (
    <Bullseye>
      <Spinner aria-label="Loading the log" />
    </Bullseye>
  );
}
