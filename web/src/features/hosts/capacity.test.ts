import { expect, test } from "vitest";

import type { Host, Node } from "../../shared/api/types";
import { committedTo, disksOf } from "./capacity";

const node = (host: string, state: Node["state"], ram: number, cpus: number) =>
  ({ host, state, resources: { ram, cpus } }) as Node;

test("what runs on the host counts, and nothing else", () => {
  const nodes = [
    node("local", "running", 256, 1),
    node("local", "paused", 1024, 2),
    node("local", "stopped", 4096, 4),
    node("other", "running", 512, 8),
  ];
  expect(committedTo("local", nodes)).toEqual({ nodes: 2, cpus: 3, ramBytes: 1280 * 1024 ** 2 });
  expect(committedTo("nowhere", nodes)).toEqual({ nodes: 0, cpus: 0, ramBytes: 0 });
});

const pool = (role: Host["pools"][number]["role"], capacity: number, available: number): Host["pools"][number] => ({
  role,
  name: role,
  path: `/${role}`,
  capacity,
  used: capacity - available,
  available,
});

test("pools of one filesystem are one disk, by the least room that was seen", () => {
  const pools = [pool("images", 1000, 501), pool("nodes", 1000, 500), pool("logs", 2000, 500), pool("images", 0, 0)];
  expect(disksOf(pools)).toEqual([
    { roles: "images, nodes", capacity: 1000, available: 500 },
    { roles: "logs", capacity: 2000, available: 500 },
  ]);
});
