import { HostStrip } from "../../features/hosts/HostStrip";
import { NodesPage } from "../../features/nodes/NodesPage";
import { useAllImages } from "../useAllImages";

/** The list of nodes, with the hosts above it. */
export default function NodesRoute() {
  return <NodesPage images={useAllImages()} hosts={<HostStrip />} />;
}
