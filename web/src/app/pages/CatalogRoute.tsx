import { PoolSpace } from "../../features/hosts/PoolSpace";
import { useHosts } from "../../features/hosts/api/listHosts";
import { CatalogPage } from "../../features/images/CatalogPage";
import { useSession } from "../../features/session/api/session";
import { mayAdminister } from "../admin/places";

/** The catalogue; users who can't list the hosts see the one of the first host. */
export default function CatalogRoute() {
  const isMaker = mayAdminister(useSession().data?.user.role ?? "");
  return isMaker ? <CatalogOfHosts /> : <CatalogPage mayPull={false} hosts={[]} space={null} />;
}

function CatalogOfHosts() {
  const hosts = useHosts();
  return <CatalogPage mayPull hosts={hosts.data?.map(({ name }) => name) ?? []} space={<PoolSpace role="images" />} />;
}
