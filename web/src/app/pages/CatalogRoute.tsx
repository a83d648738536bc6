import { PoolRoom } from "../../features/hosts/PoolRoom";
import { useHosts } from "../../features/hosts/api/listHosts";
import { CatalogPage } from "../../features/images/CatalogPage";
import { useSession } from "../../features/session/api/session";
import { mayAdminister } from "../admin/places";

/** The catalogue; whoever may not list the hosts sees that of the first one. */
export default function CatalogRoute() {
  const isMaker = mayAdminister(useSession().data?.user.role ?? "");
  return isMaker ? <CatalogOfHosts /> : <CatalogPage mayPull={false} hosts={[]} room={null} />;
}

function CatalogOfHosts() {
  const hosts = useHosts();
  return <CatalogPage mayPull hosts={hosts.data?.map(({ name }) => name) ?? []} room={<PoolRoom role="images" />} />;
}
