import { useHosts } from "../../features/hosts/api/listHosts";
import { UploadPanel } from "../../features/images/UploadPanel";
import { CreateNodePage } from "../../features/nodes/CreateNodePage";
import { useSession } from "../../features/session/api/session";
import { useAllImages } from "../useAllImages";

/** The form for a new node, which can also upload its image. */
export default function CreateNodeRoute() {
  const hosts = useHosts();
  const session = useSession();
  return (
    <CreateNodePage
      images={useAllImages()}
      hosts={hosts.data ?? []}
      sshKeys={session.data?.sshKeys ?? []}
      authOn={session.data?.auth === "on"}
      upload={(onUploaded) => <UploadPanel onUploaded={onUploaded} />}
    />
  );
}
