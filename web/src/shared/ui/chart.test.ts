import { expect, test } from "vitest";

import { nearest, niceTop, runsOf } from "./chart";

test.each([
  [0, false, 1],
  [0.3, false, 0.5],
  [1, false, 1],
  [3, false, 5],
  [70, false, 100],
  [0, true, 1024],
  [1500, true, 2048],
  [5e6, true, 8 * 1024 ** 2],
])("the top above %d (bytes: %s) is %d", (most, isBytes, top) => {
  expect(niceTop(most, isBytes)).toBe(top);
});

const points = [0, 10, 20, 60, 70].map((time) => ({ time, value: time }));

test("a long pause is a gap", () => {
  expect(runsOf(points, 15).map((run) => run.map(({ time }) => time))).toEqual([
    [0, 10, 20],
    [60, 70],
  ]);
  expect(runsOf([], 15)).toEqual([]);
});

test("the nearest point, unless it is too far away", () => {
  expect(nearest(points, 26, 10)?.time).toBe(20);
  expect(nearest(points, 40, 10)).toBeUndefined();
  expect(nearest(points, 100, 40)?.time).toBe(70);
});
