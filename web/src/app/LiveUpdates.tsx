import { Alert } from "@patternfly/react-core";
import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { hostsKey } from "../features/hosts/api/listHosts";
import { imagesKey } from "../features/images/api/listImages";
import { type ImageLists, applyToImages } from "../features/images/liveImages";
import { nodeKey } from "../features/nodes/api/getNode";
import { nodeListKey, nodesKey } from "../features/nodes/api/listNodes";
import { applyToNode, applyToNodes } from "../features/nodes/liveNodes";
import { sessionKey } from "../features/session/api/session";
import type { Node } from "../shared/api/types";
import { type Change, changeLog } from "../shared/live/changes";
import { EventFeed } from "../shared/live/feed";

const noticeAfter = 3_000;

/** Keeps all that is shown up to date while it is on the page, and tells when it cannot. */
export function LiveUpdates() {
  const queries = useQueryClient();
  const [isLate, setLate] = useState(false);
  useEffect(() => {
    const feed = new EventFeed("/api/events", {
      onChange: (change) => {
        changeLog.add(change);
        applyChange(queries, change);
      },
      onReset: () => void refetchAll(queries),
    });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const unsubscribe = feed.subscribe(() => {
      clearTimeout(timer);
      if (feed.state() === "interrupted") {
        // A short gap is nobody's concern.
        timer = setTimeout(() => {
          setLate(true);
          // An expired sign-in shows here first.
          void queries.invalidateQueries({ queryKey: sessionKey });
        }, noticeAfter);
      } else {
        setLate(false);
      }
    });
    return () => {
      clearTimeout(timer);
      unsubscribe();
      feed.close();
    };
  }, [queries]);
  return isLate ? (
    <Alert
      isInline
      isLiveRegion
      variant="warning"
      className="sl-banner"
      title="What you see may be out of date: the service does not answer. It is tried again by itself."
    />
  ) : null;
}

function applyChange(queries: QueryClient, change: Change): void {
  if (change.type === "host.changed") {
    void queries.invalidateQueries({ queryKey: hostsKey });
    return;
  }
  const before = queries.getQueryData<Node[]>(nodeListKey)?.length;
  queries.setQueryData<Node[]>(nodeListKey, (nodes) => nodes && applyToNodes(nodes, change));
  queries.setQueryData<ImageLists>(imagesKey, (lists) => lists && applyToImages(lists, change));
  const id = change.type === "node.changed" ? change.node.id : change.type === "node.removed" ? change.id : null;
  if (id !== null) {
    queries.setQueryData<Node | null>(nodeKey(id), (node) => node && applyToNode(id, node, change));
    if (queries.getQueryData<Node[]>(nodeListKey)?.length !== before) {
      // How many nodes use an image is told with the image alone.
      void queries.invalidateQueries({ queryKey: imagesKey });
    }
  }
}

function refetchAll(queries: QueryClient): Promise<unknown> {
  return Promise.all([nodesKey, imagesKey, hostsKey].map((queryKey) => queries.invalidateQueries({ queryKey })));
}
