import type { InfiniteData, QueryClient } from "@tanstack/react-query";

import { hostsKey } from "../features/hosts/api/listHosts";
import { imagesKey } from "../features/images/api/listImages";
import { type ImageLists, applyToImages } from "../features/images/liveImages";
import { labKey, labListKey, labsKey } from "../features/labs/api/labs";
import { nodeKey, nodeListKey, nodePartsKey, nodesKey } from "../features/nodes/api/keys";
import { applyToNode, applyToNodes } from "../features/nodes/liveNodes";
import { sessionKey } from "../features/session/api/session";
import type { Image, Lab, LabSummary, Node } from "../shared/api/types";
import { jobsKey } from "../shared/jobs/jobs";
import { type JobPage, applyToJobPages } from "../shared/jobs/liveJobs";
import type { Change } from "../shared/live/changes";
import { activity, happeningOf } from "./activity";

/** Updates the cached data with a change. */
export function applyChange(queries: QueryClient, change: Change): void {
  if (change.type === "host.changed") {
    void queries.invalidateQueries({ queryKey: hostsKey });
    return;
  }
  if (change.type === "lab.changed" || change.type === "lab.removed") {
    if (change.type === "lab.removed") {
      queries.setQueryData<LabSummary[]>(labListKey, (labs) => labs?.filter(({ id }) => id !== change.id));
      queries.setQueryData<Lab | null>(labKey(change.id), (lab) => lab && null);
    }
    void queries.invalidateQueries({ queryKey: labListKey });
    void queries.invalidateQueries({ queryKey: labKey(change.id) });
    return;
  }
  if (change.type === "job.changed") {
    queries.setQueryData<InfiniteData<JobPage, string>>(jobsKey, (pages) => pages && applyToJobPages(pages, change));
    return;
  }
  const subject = subjectOf(queries, change);
  activity.add(happeningOf(change, subject, Date.now()));
  const before = queries.getQueryData<Node[]>(nodeListKey)?.length;
  queries.setQueryData<Node[]>(nodeListKey, (nodes) => nodes && applyToNodes(nodes, change));
  queries.setQueryData<ImageLists>(imagesKey, (lists) => lists && applyToImages(lists, change));
  const node = change.type === "node.changed" ? change.node : null;
  const id = change.type === "node.removed" ? change.id : node?.id;
  if (id !== undefined) {
    if (!node || subject?.state !== node.state) {
      // Only the lab itself says how many of its nodes are running.
      void queries.invalidateQueries({ queryKey: labListKey });
    }
    void queries.invalidateQueries({ queryKey: nodePartsKey(id) });
    queries.setQueryData<Node | null>(nodeKey(id), (known) => known && applyToNode(id, known, change));
    if (queries.getQueryData<Node[]>(nodeListKey)?.length !== before) {
      // Only the image itself says how many nodes use it.
      void queries.invalidateQueries({ queryKey: imagesKey });
    }
  }
}

/** Returns the node or image that a change is about, as it was before. */
function subjectOf(queries: QueryClient, change: Change): Node | Image | undefined {
  switch (change.type) {
    case "node.changed":
      return queries.getQueryData<Node[]>(nodeListKey)?.find(({ id }) => id === change.node.id);
    case "node.removed":
      return queries
        .getQueryData<Node[]>(nodeListKey)
        ?.find(({ id, host }) => id === change.id && host === change.host);
    case "image.changed":
    case "image.removed": {
      const id = change.type === "image.changed" ? change.image.id : change.id;
      const lists = queries.getQueryData<ImageLists>(imagesKey);
      return lists && [...lists.baseImages, ...lists.customImages].find((image) => image.id === id);
    }
    default:
      return undefined;
  }
}

/** Reloads everything that may have changed, including who is signed in: the user or the role may be different now. */
export function refetchAll(queries: QueryClient): Promise<unknown> {
  const keys = [sessionKey, nodesKey, imagesKey, hostsKey, labsKey, jobsKey];
  return Promise.all(keys.map((queryKey) => queries.invalidateQueries({ queryKey })));
}
