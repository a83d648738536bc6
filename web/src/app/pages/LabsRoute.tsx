import { LabsPage } from "../../features/labs/LabsPage";
import { useNodes } from "../../features/nodes/api/listNodes";
import { useSession } from "../../features/session/api/session";
import { mayAdminister } from "../admin/places";
import { useNodeWork } from "../useNodeWork";

/** The list of labs. */
export default function LabsRoute() {
  const nodes = useNodes();
  const role = useSession().data?.user.role;
  const { make } = useNodeWork();
  return <LabsPage nodes={nodes.data ?? []} mayCreate={mayAdminister(role ?? "")} makeNode={make} />;
}
