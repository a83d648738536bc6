import { Alert } from "@patternfly/react-core";

import { useHosts } from "./api/listHosts";

/** Tells on every page of the hosts that do not answer. */
export function HostBanners() {
  const hosts = useHosts();
  const unreachable = (hosts.data ?? []).filter(({ state }) => state === "unreachable");
  return unreachable.map((host) => (
    <Alert component="h2" key={host.name} isInline isLiveRegion variant="danger" title={`Host ${host.name} does not answer`} className="sl-banner">
      {host.error ? `${host.error} ` : ""}
      Check that libvirt runs at {host.uri} and lets this service in. Its nodes come back here by themselves once it
      answers.
    </Alert>
  ));
}
