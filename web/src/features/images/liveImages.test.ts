import { expect, test } from "vitest";

import type { Image } from "../../shared/api/types";
import { applyToImages } from "./liveImages";

const image = (id: string, type: Image["type"], host: string, state: Image["state"] = "ready") =>
  ({ id, type, host, state, name: id, size: 1 }) as Image;
const lists = { baseImages: [image("micro", "base", "a"), image("micro", "base", "b")], customImages: [] };

test("a changed image replaces only the one on its host", () => {
  const next = applyToImages(lists, { type: "image.changed", image: image("micro", "base", "b", "unverified") });
  expect(next.baseImages.map(({ state }) => state)).toEqual(["ready", "unverified"]);
});
test("a new custom image goes to the custom ones", () => {
  const next = applyToImages(lists, { type: "image.changed", image: image("mine", "custom", "a") });
  expect(next.customImages).toHaveLength(1);
  expect(next.baseImages).toHaveLength(2);
});
test("a removed image is removed only from its host", () => {
  const next = applyToImages(lists, { type: "image.removed", id: "micro", host: "a" });
  expect(next.baseImages).toEqual([lists.baseImages[1]]);
});
test("other changes return the same lists", () => {
  expect(applyToImages(lists, { type: "node.removed", id: "1", host: "a" })).toBe(lists);
});
