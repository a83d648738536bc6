import { useState } from "react";

import type { Node } from "../../shared/api/types";

/** Nodes that are chosen for what is done to several at once. */
export interface Selection {
  has: (node: Node) => boolean;
  set: (nodes: readonly Node[], selected: boolean) => void;
  clear: () => void;
  /** The chosen ones among the nodes that there are. */
  nodes: readonly Node[];
}

const keyOf = ({ host, id }: Node) => `${host}/${id}`;

/** Remembers which nodes are chosen; those that are gone, or that the list does not show, are chosen no more. */
export function useSelection(shown: readonly Node[]): Selection {
  const [keys, setKeys] = useState<ReadonlySet<string>>(new Set());
  return {
    has: (node) => keys.has(keyOf(node)),
    set: (nodes, selected) =>
      setKeys((before) => {
        const next = new Set(before);
        for (const node of nodes) {
          if (selected) {
            next.add(keyOf(node));
          } else {
            next.delete(keyOf(node));
          }
        }
        return next;
      }),
    clear: () => setKeys(new Set()),
    nodes: shown.filter((node) => keys.has(keyOf(node))),
  };
}
