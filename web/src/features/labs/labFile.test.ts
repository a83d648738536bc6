import { describe, expect, it } from "vitest";

import type { Lab, LabNetwork, Node } from "../../shared/api/types";
import { LabImport, type Maker } from "./importLab";
import { type LabFile, exportLab, parseLab } from "./labFile";
import { freePlace } from "./layout";

const network: LabNetwork = { id: "n1", name: "dmz-net1", host: "local", active: true, dhcp: true, subnet: "10.140.0.0/24", nodes: [], x: 280, y: 4.4 };
const lab: Lab = {
  id: "l",
  name: "dmz",
  owner: "ann",
  access: "manage",
  created: "2026-11-25T12:00:00Z",
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
    { name: "db", image: "micro", ram: 128, cpus: 1, disk: 1024, networks: [], x: 561, y: 0 },
    { name: "web", image: "micro", ram: 128, cpus: 1, disk: 1024, networks: ["dmz-net1"], x: 0, y: 0 },
  ],
};

describe("a lab as a file", () => {
  it("holds what it takes to make it anew, and tells what it cannot hold", () => {
    const { file: made, left } = exportLab(lab, nodes);
    expect(made).toEqual(file); // the node on another host has a network of the same name there
    expect(left.map(({ name }) => name)).toEqual(["foreign"]);
  });

  it("is read as it was written", () => {
    expect(parseLab(JSON.stringify(file))).toEqual(file);
  });

  it.each([
    ["no JSON", "<lab/>", /no JSON/],
    ["another format", "{}", /"sandboxlabs" is not "lab\/1"/],
    ["a nameless node", JSON.stringify({ ...file, nodes: [{ ...file.nodes[0], name: "" }] }), /nodes\[0\]\.name/],
    ["a number as text", JSON.stringify({ ...file, nodes: [{ ...file.nodes[0], ram: "128" }] }), /nodes\[0\]\.ram/],
    ["a network that is not there", JSON.stringify({ ...file, networks: [] }), /no network "dmz-net1"/],
    ["two of a name", JSON.stringify({ ...file, nodes: [file.nodes[0], file.nodes[0]] }), /"db" is there twice/],
    ["a position out of bounds", JSON.stringify({ ...file, networks: [{ name: "a", x: 1e9 }], nodes: [] }), /x and y/],
    ["too many", JSON.stringify({ ...file, nodes: new Array(101).fill(file.nodes[0]) }), /at most 100/],
  ])("is refused: %s", (_name, text, reason) => {
    expect(() => parseLab(text)).toThrow(reason);
  });
});

describe("an import", () => {
  function maker() {
    const calls: string[] = [];
    let broken = "";
    const call = <T>(text: string, answer: T): Promise<T> => {
      calls.push(text);
      return text === broken ? Promise.reject(new Error("no room")) : Promise.resolve(answer);
    };
    const made: Maker = {
      lab: (name) => call(`lab ${name}`, { ...lab, id: "new" }),
      network: (id, at) => call(`network in ${id} at ${at.x},${at.y}`, { ...network, id: "net" }),
      node: (spec) => call(`node ${spec.name}`, node(`id of ${spec.name}`, spec.name)),
      place: (id, which, at) => call(`place ${which} in ${id} at ${at.x},${at.y}`, null),
      link: (id, which, to) => call(`link ${which} to ${to} in ${id}`, null),
    };
    return { calls, made, breakAt: (text: string) => (broken = text) };
  }

  it("makes lab, networks, nodes and links, with free names", async () => {
    const { calls, made } = maker();
    const work = new LabImport(file, made, ["web", "web-2"]);
    expect(await work.run()).toBe(true);
    expect(calls).toEqual([
      "lab dmz",
      "network in new at 280,4",
      "node db",
      "place id of db in new at 561,0",
      "node web-3",
      "place id of web-3 in new at 0,0",
      "link id of web-3 to net in new",
    ]);
    expect(work.labID()).toBe("new");
  });

  it("stops where something fails, says why, and goes on from there", async () => {
    const { calls, made, breakAt } = maker();
    const work = new LabImport(file, made, []);
    breakAt("node web");
    expect(await work.run()).toBe(false);
    expect(work.list().find(({ state }) => state === "failed")).toMatchObject({ what: "Make the node web", error: new Error("no room") });
    breakAt("");
    expect(await work.run()).toBe(true);
    expect(calls.filter((text) => text === "lab dmz")).toHaveLength(1);
    expect(work.list().every(({ state }) => state === "done")).toBe(true);
  });
});

describe("a free place", () => {
  it("is on the grid, where nothing stands", () => {
    expect(freePlace({ nodes: [], networks: [] })).toEqual({ x: 0, y: 0 });
    const { x, y } = freePlace(lab);
    expect([...lab.nodes, ...lab.networks].some((other) => other.x === x && other.y === y)).toBe(false);
  });
});
