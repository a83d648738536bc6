import type { Host } from "../../shared/api/types";
import type { Change } from "../../shared/live/changes";

/** The hosts after a change; the same array when it does not concern hosts. */
export function applyToHosts(hosts: Host[], change: Change): Host[] {
  if (change.type !== "host.changed") {
    return hosts;
  }
  const { host } = change;
  return hosts.some(({ name }) => name === host.name)
    ? hosts.map((known) => (known.name === host.name ? host : known))
    : [...hosts, host];
}
