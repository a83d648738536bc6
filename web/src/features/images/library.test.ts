import { expect, test } from "vitest";

import type { Image } from "../../shared/api/types";
import { findImages, needsAttention, readShown, readTags } from "./library";

const image = (id: string, more: Partial<Image> = {}) =>
  ({
    id,
    name: id,
    displayName: "",
    description: "",
    tags: [],
    type: "custom",
    state: "ready",
    host: "local",
    created: "2026-01-01T00:00:00Z",
    ...more,
  }) as unknown as Image;

const images = [
  image("micro", { type: "base", created: "2026-01-03T00:00:00Z" }),
  image("old", { tags: ["course-1"], owner: "alice" }),
  image("broken", { state: "rejected", displayName: "Broken disk" }),
  image("new", { created: "2026-01-02T00:00:00Z", description: "Web server" }),
];
const ids = (search: string, shown = "all") => findImages(images, search, readShown(shown)).map(({ id }) => id);

test("the newest image is first", () => {
  expect(ids("")).toEqual(["micro", "new", "broken", "old"]);
});
test("every word must match", () => {
  expect(ids("course alice")).toEqual(["old"]);
  expect(ids("course bob")).toEqual([]);
  expect(ids("web")).toEqual(["new"]);
});
test("kinds", () => {
  expect(ids("", "base")).toEqual(["micro"]);
  expect(ids("", "attention")).toEqual(["broken"]);
  expect(ids("", "nonsense")).toHaveLength(4);
});
test("changed, rejected and unverified images need attention", () => {
  const needing = (["ready", "verifying", "changed", "unverified", "rejected"] as const).filter((state) =>
    needsAttention({ state }),
  );
  expect(needing).toEqual(["changed", "unverified", "rejected"]);
});
test("tags are trimmed and unique", () => {
  expect(readTags(" linux, course 1 ,,linux")).toEqual(["linux", "course 1"]);
});
