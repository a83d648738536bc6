import type { Node } from "../../shared/api/types";
import { isOffered } from "./actions";

/** The actions for several nodes at once. */
export type BulkAction = "run" | "stop" | "forceOff" | "delete";

/** Returns the nodes that an action can be applied to now. */
export function targetsOf(action: BulkAction, nodes: readonly Node[]): Node[] {
  return nodes.filter((node) => isOffered(action, node));
}

/** The outcome for one of several nodes. */
export interface Outcome {
  node: Node;
  /** Why it failed; undefined on success. */
  error?: unknown;
}

const atOnce = 4;

/** Applies an action to each node, a few at a time, and resolves with all outcomes; it never rejects. */
export async function each(nodes: readonly Node[], act: (node: Node) => Promise<unknown>): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const waiting = nodes.entries();
  const work = async () => {
    for (const [index, node] of waiting) {
      try {
        await act(node);
        outcomes[index] = { node };
      } catch (error) {
        outcomes[index] = { node, error };
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return outcomes;
}
