import { expect, test } from "vitest";

import { atBase, basePath } from "./base";

test.each([
  [undefined, ""],
  ["/", ""],
  ["/sandbox/", "/sandbox"],
  ["/a/b/", "/a/b"],
])("the base of %s is %s", (folder, path) => {
  expect(basePath(folder)).toBe(path);
});

test("without a page there is no base", () => {
  expect(atBase("/api/nodes")).toBe("/api/nodes");
});
