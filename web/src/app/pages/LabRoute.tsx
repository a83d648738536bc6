import { useParams } from "react-router";

import { LabPage } from "../../features/labs/LabPage";
import { useNodes } from "../../features/nodes/api/listNodes";
import { NodeStateLabel } from "../../features/nodes/components/NodeStateLabel";
import { useSession } from "../../features/session/api/session";
import { useAllImages } from "../useAllImages";
import { useNodeWork } from "../useNodeWork";

/** One lab, with the actions of the nodes feature. */
export default function LabRoute() {
  const { id = "" } = useParams();
  const nodes = useNodes();
  const images = useAllImages();
  const work = useNodeWork();
  const session = useSession();
  return (
    <LabPage
      id={id}
      nodes={nodes.data ?? []}
      images={images ?? []}
      work={work}
      mayShare={session.data?.auth === "on"}
      stateOf={(node) => <NodeStateLabel node={node} />}
    />
  );
}
