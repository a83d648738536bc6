import { PoolSpace } from "../../features/hosts/PoolSpace";
import { ImagesPage } from "../../features/images/ImagesPage";
import { useSession } from "../../features/session/api/session";
import { mayAdminister } from "../admin/places";

/** The library of images and the free disk space. */
export default function ImagesRoute() {
  const isMaker = mayAdminister(useSession().data?.user.role ?? "");
  return <ImagesPage mayUpload={isMaker} space={isMaker && <PoolSpace role="images" />} />;
}
