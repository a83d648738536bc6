/** The prefix of all query keys about nodes. */
export const nodesKey = ["nodes"] as const;
export const nodeListKey = [...nodesKey, "list"] as const;
export const nodeKey = (id: string) => [...nodesKey, "one", id] as const;

/** The prefix of the data that belongs to a node but is requested separately: it is reloaded whenever the node has changed. */
export const nodePartsKey = (id: string) => [...nodeKey(id), "part"] as const;

/** The key of changes of nodes that are applied optimistically. */
export const nodeChangeKey = ["change a node"] as const;
