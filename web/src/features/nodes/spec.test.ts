import { describe, expect, test } from "vitest";

import type { Host, Image, Node } from "../../shared/api/types";
import { nothingToTell } from "./firstBoot";
import {
  type Draft,
  curlCommand,
  draftProblems,
  limitsOf,
  nameProblem,
  presetProblem,
  presets,
  specOf,
  suggestName,
} from "./spec";

const gibibyte = 1024 ** 3;
const draft: Draft = {
  name: "web1",
  ram: "512",
  cpus: "2",
  disk: "",
  host: "",
  network: "",
  firmware: "",
  tpm: "",
  ...nothingToTell,
};
const unknown = { host: "local", ram: undefined, cpus: undefined };
const image = { id: "micro", virtualSize: gibibyte } as Image;

describe("nameProblem", () => {
  test.each(["a", "web1", "9lives", "a.b_c-d", "x".repeat(63)])("%s is valid", (name) => {
    expect(nameProblem(name, [])).toBe("");
  });
  test.each([
    ["", "Enter a name."],
    ["-web", "Start with a letter or digit."],
    ["a b", "Use only letters, digits, ., - and _."],
    ["ä", "Start with a letter or digit."],
    ["x".repeat(64), "Use at most 63 characters."],
    ["web1", "The name web1 is taken."],
  ])("%j: %s", (name, problem) => {
    expect(nameProblem(name, ["web1"])).toBe(problem);
  });
});

test.each([
  ["micro", [], "micro-1"],
  ["micro", ["micro-1", "micro-2"], "micro-3"],
  ["My disk_1762790000000.qcow2", [], "My-disk-1"],
  ["ß", [], "node-1"],
])("suggestName(%j, %j) is %s", (name, taken, expected) => {
  expect(suggestName(name, taken)).toBe(expected);
});

describe("draftProblems", () => {
  test("finds none in a good draft", () => {
    expect(draftProblems({ ...draft, disk: "1.5" }, image, [], unknown)).toEqual({
      ...nothingToTell,
      name: "",
      ram: "",
      cpus: "",
      disk: "",
    });
  });
  test("a disk is at least as large as the image", () => {
    expect(draftProblems({ ...draft, disk: "0.5" }, image, [], unknown).disk).toBe("The image needs at least 1 GiB.");
  });
  test("a disk to install on can have any size", () => {
    const media = { id: "setup.iso", format: "iso", virtualSize: 4 * gibibyte } as Image;
    expect(draftProblems({ ...draft, disk: "0.5" }, media, [], unknown).disk).toBe("");
  });
  test("RAM and CPUs are whole numbers", () => {
    const problems = draftProblems({ ...draft, ram: "8", cpus: "1.5" }, image, [], unknown);
    expect(problems.ram).toContain("at least 64 MiB");
    expect(problems.cpus).toContain("whole number");
  });
  test("a node can't be larger than its host", () => {
    const limits = { host: "local", ram: 1024, cpus: 1 };
    expect(draftProblems({ ...draft, ram: "1024", cpus: "1" }, image, [], limits)).toMatchObject({ ram: "", cpus: "" });
    expect(draftProblems({ ...draft, ram: "1025", cpus: "2" }, image, [], limits)).toMatchObject({
      ram: 'At most 1024 on host "local".',
      cpus: 'At most 1 on host "local".',
    });
  });
  test("a name is only taken on its host", () => {
    const nodes = [{ name: "web1", host: "other" } as Node];
    expect(draftProblems({ ...draft, host: "local" }, image, nodes, unknown).name).toBe("");
    expect(draftProblems({ ...draft, host: "other" }, image, nodes, unknown).name).toContain("taken");
  });
});

test("specOf gives sizes in the service's units", () => {
  expect(specOf({ ...draft, disk: "10", host: "local" }, "micro")).toEqual({
    name: "web1",
    image: "micro",
    host: "local",
    resources: { ram: 512, cpus: 2, disk: 10 * gibibyte },
  });
});

test("specOf has the filled cloud-init fields", () => {
  expect(specOf({ ...draft, hostname: "web1.lab" }, "micro")).toMatchObject({ cloudInit: { hostname: "web1.lab" } });
  expect(specOf(draft, "micro")).not.toHaveProperty("cloudInit");
});

describe("limits", () => {
  const hosts = [
    { name: "local", cpus: 2, memoryBytes: 2.5 * gibibyte },
    { name: "big", cpus: 64, memoryBytes: 256 * gibibyte },
    { name: "away", cpus: 0, memoryBytes: 0 },
  ] as Host[];
  test("are those of the selected host, of the first one by default, or unknown", () => {
    expect(limitsOf(hosts, "")).toEqual({ host: "local", ram: 2560, cpus: 2 });
    expect(limitsOf(hosts, "big")).toEqual({ host: "big", ram: 262_144, cpus: 64 });
    expect(limitsOf(hosts, "away")).toEqual({ host: "away", ram: undefined, cpus: undefined });
    expect(limitsOf([], "")).toEqual({ host: "", ram: undefined, cpus: undefined });
  });
  test("say why a preset is not available", () => {
    const problems = (host: string) => presets.map((preset) => presetProblem(preset, limitsOf(hosts, host)));
    expect(problems("local")).toEqual([
      "",
      "",
      "",
      'Large is not available: needs 4 CPUs and 4 GiB of RAM, host "local" has 2 and 2.5 GiB.',
    ]);
    expect(problems("big")).toEqual(["", "", "", ""]);
    expect(problems("away")).toEqual(["", "", "", ""]);
  });
});

test("curlCommand quotes shell characters", () => {
  const command = curlCommand("http://lab:3001", { name: "a'b", image: "micro" }, true);
  expect(command).toBe(
    [
      "curl -X POST http://lab:3001/api/nodes",
      `-H "Authorization: Bearer $SANDBOXLABS_TOKEN"`,
      "-H 'Content-Type: application/json'",
      `-d '{"name":"a'\\''b","image":"micro"}'`,
    ].join(" \\\n  "),
  );
});
