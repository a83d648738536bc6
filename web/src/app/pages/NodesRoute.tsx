import { HostStrip } from "../../features/hosts/HostStrip";
import { NodesPage } from "../../features/nodes/NodesPage";
import { mayCreate, useSession } from "../../features/session/api/session";
import { useAllImages } from "../useAllImages";

/** The list of nodes, with the hosts above it. */
export default function NodesRoute() {
  const session = useSession();
  const allowed = mayCreate(session.data);
  return <NodesPage images={useAllImages()} hosts={allowed && <HostStrip />} mayCreate={allowed} />;
}
