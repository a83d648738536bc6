import { Alert } from "@patternfly/react-core";

import { useHosts } from "./api/listHosts";

/** Shows a banner on every page for each unreachable host. */
export function HostBanners() {
  const hosts = useHosts();
  const unreachable = (hosts.data ?? []).filter(({ state }) => state === "unreachable");
  return unreachable.map((host) => (
    <Alert
      component="h2"
      key={host.name}
      isInline
      isLiveRegion
      variant="danger"
      title={`Host "${host.name}" is unreachable`}
      className="sl-banner"
    >
      {host.error ? `${host.error} ` : ""}
      Check that libvirt is running at {host.uri} and accepts connections from this server. Its nodes will reappear
      automatically.
    </Alert>
  ));
}
