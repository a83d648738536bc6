import type { Node } from "../../shared/api/types";
import { isOffered } from "./actions";

/** What may be done with several nodes at once. */
export type BulkAction = "run" | "stop" | "forceOff" | "delete";

/** The nodes among those that an action can be done to now. */
export function targetsOf(action: BulkAction, nodes: readonly Node[]): Node[] {
  return nodes.filter((node) => isOffered(action, node));
}

/** What became of one node of several. */
export interface Outcome {
  node: Node;
  /** Why it did not work; undefined when it did. */
  error?: unknown;
}

const atOnce = 4;

/** Does something to each node, a few at a time, and resolves with what became of each; it never rejects. */
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
