import { QueryClient, QueryObserver } from "@tanstack/react-query";
import { expect, test, vi } from "vitest";

import { labKey, labListKey } from "../features/labs/api/labs";
import { nodeListKey } from "../features/nodes/api/keys";
import type { Lab, LabSummary, Node } from "../shared/api/types";
import { applyChange } from "./liveChanges";

/** Returns what the list of labs and the page of lab "b" show, given the service's responses. */
function shown(answers: { list: () => Promise<LabSummary[]>; b: () => Promise<Lab | null> }) {
  const queries = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity, retry: false } } });
  const list = new QueryObserver(queries, { queryKey: labListKey, queryFn: () => answers.list() });
  const b = new QueryObserver(queries, { queryKey: labKey("b"), queryFn: () => answers.b() });
  list.subscribe(() => undefined);
  b.subscribe(() => undefined);
  return {
    queries,
    labs: () => list.getCurrentResult().data?.map(({ id }) => id),
    running: () => list.getCurrentResult().data?.map(({ running }) => running),
    b: () => b.getCurrentResult().data,
  };
}

const summary = (id: string, running = 0) => ({ id, running }) as LabSummary;
const node = (state: Node["state"], name = "n") => ({ id: "n", host: "local", name, state }) as Node;
const never = () => new Promise<never>(() => undefined);

test("a lab appears in the list and on its page as soon as it is shared", async () => {
  const answers = { list: () => Promise.resolve([summary("a")]), b: () => Promise.resolve<Lab | null>(null) };
  const { queries, labs, b } = shown(answers);
  await vi.waitFor(() => expect([labs(), b()]).toEqual([["a"], null]));
  answers.list = () => Promise.resolve([summary("a"), summary("b")]);
  answers.b = () => Promise.resolve({ id: "b" } as Lab);
  applyChange(queries, { type: "lab.changed", id: "b" });
  await vi.waitFor(() => expect([labs(), b()]).toEqual([["a", "b"], { id: "b" }]));
});

test("a lab that is no longer shared disappears from the list and its page immediately", async () => {
  const answers = {
    list: () => Promise.resolve([summary("a"), summary("b")]),
    b: () => Promise.resolve<Lab | null>({ id: "b" } as Lab),
  };
  const { queries, labs, b } = shown(answers);
  await vi.waitFor(() => expect([labs(), b()]).toEqual([["a", "b"], { id: "b" }]));
  answers.list = never;
  answers.b = never;
  applyChange(queries, { type: "lab.removed", id: "b" });
  expect([labs(), b()]).toEqual([["a"], null]);
});

test("the number of running nodes of a lab is reloaded when one starts or is deleted, but not when it is renamed", async () => {
  let running = 0;
  let asked = 0;
  const answers = {
    list: () => {
      asked++;
      return Promise.resolve([summary("a", running)]);
    },
    b: () => Promise.resolve(null),
  };
  const page = shown(answers);
  await vi.waitFor(() => expect(page.running()).toEqual([0]));
  page.queries.setQueryData(nodeListKey, [node("stopped")]);
  applyChange(page.queries, { type: "node.changed", node: node("stopped", "renamed") });
  expect(asked).toBe(1);
  running = 1;
  applyChange(page.queries, { type: "node.changed", node: node("running") });
  await vi.waitFor(() => expect(page.running()).toEqual([1]));
  running = 0;
  applyChange(page.queries, { type: "node.removed", id: "n", host: "local" });
  await vi.waitFor(() => expect(page.running()).toEqual([0]));
});
