import { describe, expect, test } from "vitest";

import { RateMeter, secondsLeft } from "./rate";

describe("RateMeter", () => {
  test("is 0 before the second sample", () => {
    const meter = new RateMeter();
    expect(meter.rate()).toBe(0);
    meter.note(0, 0);
    expect(meter.rate()).toBe(0);
    meter.note(0, 100);
    expect(meter.rate()).toBe(0);
  });
  test("is the mean of the window", () => {
    const meter = new RateMeter();
    meter.note(0, 0);
    meter.note(1000, 500);
    meter.note(2000, 3000);
    expect(meter.rate()).toBe(1500);
  });
  test("ignores samples before the window", () => {
    const meter = new RateMeter();
    meter.note(0, 0);
    for (let second = 1; second <= 20; second++) {
      meter.note(second * 1000, 1_000_000 + second * 10);
    }
    expect(meter.rate()).toBe(10);
  });
  test("the rate of a stalled upload goes down to 0", () => {
    const meter = new RateMeter();
    meter.note(0, 0);
    meter.note(1000, 1000);
    meter.note(6500, 1000);
    meter.note(12_000, 1000);
    expect(meter.rate()).toBe(0);
  });
});

test("secondsLeft", () => {
  expect(secondsLeft(1000, 500, 100)).toBe(5);
  expect(secondsLeft(1000, 500, 0)).toBeNull();
  expect(secondsLeft(1000, 2000, 100)).toBe(0);
});
