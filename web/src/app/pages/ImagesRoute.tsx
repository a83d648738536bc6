import { PoolRoom } from "../../features/hosts/PoolRoom";
import { ImagesPage } from "../../features/images/ImagesPage";
import { useSession } from "../../features/session/api/session";
import { mayAdminister } from "../admin/places";

/** The library of images, with the room that there is for more. */
export default function ImagesRoute() {
  const isMaker = mayAdminister(useSession().data?.user.role ?? "");
  return <ImagesPage mayUpload={isMaker} room={isMaker && <PoolRoom role="images" />} />;
}
