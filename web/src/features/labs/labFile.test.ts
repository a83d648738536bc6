import { describe, expect, it } from "vitest";

import type { Lab, LabFile, LabNetwork, Node } from "../../shared/api/types";
import { exportLab, readLabFile } from "./labFile";
import { addressOf, freePlace } from "./layout";

const network: LabNetwork = {
  id: "n1",
  name: "dmz-net1",
  host: "local",
  active: true,
  dhcp: true,
  subnet: "10.140.0.0/24",
  nodes: [],
  x: 280,
  y: 4.4,
};
const lab: Lab = {
  id: "l",
  name: "dmz",
  owner: "ann",
  access: "manage",
  created: "2026-11-25T12:00:00Z",
  version: "1",
  nodes: [
    { id: "a", x: 0, y: 0 },
    { id: "b", x: 560.6, y: 0 },
    { id: "f", x: 0, y: 200 },
  ],
  networks: [network],
};
const node = (id: string, name: string, more: Partial<Node> = {}) =>
  ({
    id,
    name,
    host: "local",
    osType: "",
    firmware: "uefi",
    tpm: true,
    image: { id: "micro", name: "Micro", path: "", size: 1, type: "base" },
    resources: { ram: 128, cpus: 1, disk: 1024 },
    networks: ["dmz-net1", "default"],
    ...more,
  }) as Node;
const foreign = node("f", "foreign", { networks: [] });
delete foreign.image;
const nodes = [node("a", "web"), node("b", "db", { host: "other" }), foreign];

const file: LabFile = {
  sandboxlabs: "lab/1",
  name: "dmz",
  networks: [{ name: "dmz-net1", addresses: true, x: 280, y: 4 }],
  nodes: [
    {
      name: "db",
      image: "micro",
      firmware: "uefi",
      tpm: true,
      ram: 128,
      cpus: 1,
      disk: 1024,
      networks: [],
      x: 561,
      y: 0,
    },
    {
      name: "web",
      image: "micro",
      firmware: "uefi",
      tpm: true,
      ram: 128,
      cpus: 1,
      disk: 1024,
      networks: ["dmz-net1"],
      x: 0,
      y: 0,
    },
  ],
};

describe("a lab as a file", () => {
  it("contains what is needed to recreate the lab, and reports what it can't contain", () => {
    const { file: made, left } = exportLab(lab, nodes);
    expect(made).toEqual(file); // the node on another host has a network of the same name there
    expect(left.map(({ name }) => name)).toEqual(["foreign"]);
  });

  it("is read as it was written, and other files are rejected", async () => {
    expect(await readLabFile(new File([JSON.stringify(file)], "dmz.lab.json"))).toEqual(file);
    await expect(readLabFile(new File(["<lab/>"], "dmz.xml"))).rejects.toThrow(/Not a lab file/);
    await expect(readLabFile(new File([new Uint8Array(1024 * 1024 + 1)], "disk.img"))).rejects.toThrow(/too large/);
  });
});

describe("a free position", () => {
  it("is on the grid and not occupied", () => {
    expect(freePlace({ nodes: [], networks: [] })).toEqual({ x: 0, y: 0 });
    const { x, y } = freePlace(lab);
    expect([...lab.nodes, ...lab.networks].some((other) => other.x === x && other.y === y)).toBe(false);
  });
});

describe("the address that is shown", () => {
  it.each([
    ["on the lab's network first", ["10.0.2.15", "fec0::1", "10.140.0.7"], "10.140.0.7"],
    ["not on a neighbouring subnet", ["192.168.1.2", "10.140.1.7"], "192.168.1.2"],
    ["none if the node has none", [], undefined],
  ])("is %s", (_name, addresses, shown) => {
    expect(addressOf({ addresses }, [network, { ...network, subnet: undefined } as never])).toBe(shown);
  });
});
