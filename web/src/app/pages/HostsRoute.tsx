import { HostsPage } from "../../features/hosts/HostsPage";
import { useNodes } from "../../features/nodes/api/listNodes";
import { isAdmin, useSession } from "../../features/session/api/session";

/** The hosts and what their nodes use. */
export default function HostsRoute() {
  return <HostsPage nodes={useNodes().data ?? []} isAdmin={isAdmin(useSession().data)} />;
}
