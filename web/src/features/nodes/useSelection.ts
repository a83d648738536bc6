import { useState } from "react";

import type { Node } from "../../shared/api/types";

/** The nodes that are selected for bulk actions. */
export interface Selection {
  has: (node: Node) => boolean;
  set: (nodes: readonly Node[], selected: boolean) => void;
  clear: () => void;
  /** The selected nodes that still exist. */
  nodes: readonly Node[];
}

const keyOf = ({ host, id }: Node) => `${host}/${id}`;

/** Remembers the selected nodes; nodes that were deleted or are filtered out are deselected. */
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
