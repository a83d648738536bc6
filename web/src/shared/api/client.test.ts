import { expect, test } from "vitest";

import { pagesOf } from "./client";
import { RequestError } from "./problem";

function answer(status: number, data: { names: string[]; nextCursor?: string }) {
  return Promise.resolve({ data, response: new Response(null, { status }) });
}

test("a list is read to its end", async () => {
  const asked: (string | undefined)[] = [];
  const pages = await pagesOf(({ cursor }) => {
    asked.push(cursor);
    return answer(200, cursor === undefined ? { names: ["a", "b"], nextCursor: "b" } : { names: ["c"] });
  });
  expect(asked).toEqual([undefined, "b"]);
  expect(pages.flatMap(({ names }) => names)).toEqual(["a", "b", "c"]);
});

test("a page that fails fails the list", async () => {
  const pages = pagesOf(({ cursor }) => answer(cursor === undefined ? 200 : 503, { names: [], nextCursor: "x" }));
  await expect(pages).rejects.toBeInstanceOf(RequestError);
});
