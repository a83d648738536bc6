import { useParams } from "react-router";

import { NodePage } from "../../features/nodes/NodePage";
import { readTab } from "../../features/nodes/tabs";
import { isAdmin, mayCreate, useSession } from "../../features/session/api/session";
import { NotFoundPage } from "../NotFoundPage";
import { useAllImages } from "../useAllImages";
import { NodeEvents } from "./NodeEvents";
import { NodePane } from "./NodePane";

/** The page of one node with all its views. */
export default function NodeRoute() {
  const { id = "", tab } = useParams();
  const images = useAllImages();
  const session = useSession();
  const shown = readTab(tab);
  if (shown === null) {
    return <NotFoundPage />;
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
