import { expect, test } from "vitest";

import type { Host, Node } from "../../shared/api/types";
import { committedTo, disksOf, forecastOf, savingOf } from "./capacity";

const node = (host: string, state: Node["state"], ram: number, cpus: number) =>
  ({ host, state, resources: { ram, cpus } }) as Node;

test("only nodes that run on the host count", () => {
  const nodes = [
    node("local", "running", 256, 1),
    node("local", "paused", 1024, 2),
    node("local", "stopped", 4096, 4),
    node("other", "running", 512, 8),
  ];
  expect(committedTo("local", nodes)).toEqual({ nodes: 2, cpus: 3, ramBytes: 1280 * 1024 ** 2 });
  expect(committedTo("nowhere", nodes)).toEqual({ nodes: 0, cpus: 0, ramBytes: 0 });
});

type Pool = Host["pools"][number];

const pool = (role: Pool["role"], capacity: number, available: number, more: Partial<Pool> = {}): Pool => ({
  role,
  name: role,
  path: `/${role}`,
  capacity,
  used: capacity - available,
  available,
  allocation: 0,
  level: "ok",
  shares: { images: 0, overlays: 0, uploads: 0 },
  ...more,
});

test("pools of one filesystem are one disk with the smallest reported free space", () => {
  const pools = [
    pool("images", 1000, 501),
    pool("nodes", 1000, 500, { level: "warning" }),
    pool("logs", 2000, 500),
    pool("images", 0, 0),
  ];
  expect(disksOf(pools)).toEqual([
    { roles: "images, nodes", capacity: 1000, available: 500, level: "warning" },
    { roles: "logs", capacity: 2000, available: 500, level: "ok" },
  ]);
});

test("the forecast is that of the pool that is full first", () => {
  const pools = [pool("images", 1000, 500, { roomForImages: 12 }), pool("nodes", 1000, 500, { roomForNodes: 1 })];
  expect(forecastOf(pools)).toBe("Disk space for about 1 more node or 12 more images");
  expect(forecastOf([pool("logs", 1000, 500)])).toBe("");
});

test("overlays save the difference to full copies", () => {
  expect(savingOf([pool("nodes", 1000, 500, { fullCopies: 400, overlayEfficiency: 8 })])).toEqual({
    copies: 400,
    taken: 50,
    times: 8,
  });
  expect(savingOf([pool("nodes", 1000, 500, { fullCopies: 0, overlayEfficiency: 1 })])).toBeNull();
});
