/** Everything that the service told about nodes lies below this key. */
export const nodesKey = ["nodes"] as const;
export const nodeListKey = [...nodesKey, "list"] as const;
export const nodeKey = (id: string) => [...nodesKey, "one", id] as const;

/** Below it lies what belongs to a node and is not told with it: it is read anew whenever the node has changed. */
export const nodePartsKey = (id: string) => [...nodeKey(id), "part"] as const;

/** Of changes of nodes that show before they are done. */
export const nodeChangeKey = ["change a node"] as const;
