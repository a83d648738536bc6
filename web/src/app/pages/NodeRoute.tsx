import { useParams } from "react-router";

import { NodePage } from "../../features/nodes/NodePage";
import { readTab } from "../../features/nodes/tabs";
import { isAdmin, mayCreate, useSession } from "../../features/session/api/session";
import { NoSuchPage } from "../NoSuchPage";
import { useAllImages } from "../useAllImages";
import { NodeEvents } from "./NodeEvents";
import { NodePane } from "./NodePane";

/** One node's page, with all its views. */
export default function NodeRoute() {
  const { id = "", tab } = useParams();
  const images = useAllImages();
  const session = useSession();
  const shown = readTab(tab);
  if (shown === null) {
    return <NoSuchPage />;
  }
  return (
    <NodePage
      key={id}
      id={id}
      tab={shown}
      images={images ?? []}
      isAdmin={isAdmin(session.data)}
      mayCreate={mayCreate(session.data)}
      pane={(pane, node) => <NodePane node={node} pane={pane} />}
      events={(node) => <NodeEvents node={node} hasAudit={isAdmin(session.data)} />}
    />
  );
}
