import { LabsPage } from "../../features/labs/LabsPage";
import { useSession } from "../../features/session/api/session";
import { mayAdminister } from "../admin/places";

/** The list of labs. */
export default function LabsRoute() {
  const role = useSession().data?.user.role;
  return <LabsPage mayCreate={mayAdminister(role ?? "")} />;
}
