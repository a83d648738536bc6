import { HostsPage } from "../../features/hosts/HostsPage";
import { useNodes } from "../../features/nodes/api/listNodes";

/** The hosts, with what their nodes hold. */
export default function HostsRoute() {
  return <HostsPage nodes={useNodes().data ?? []} />;
}
