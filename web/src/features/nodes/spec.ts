import type { Host, Image, Node, NodeSpec } from "../../shared/api/types";
import type { Firmware } from "../../shared/firmware";
import { formatBytes, formatRAM, plural } from "../../shared/format";
import { type FirstBoot, type FirstBootProblems, cloudInitOf, firstBootProblems } from "./firstBoot";

export const gibibyte = 1024 ** 3;
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** Returns the problem of a node's name; empty if it is valid. */
export function nameProblem(name: string, taken: readonly string[]): string {
  if (name === "") {
    return "Enter a name.";
  }
  if (name.length > 63) {
    return "Use at most 63 characters.";
  }
  if (!/^[A-Za-z0-9]/.test(name)) {
    return "Start with a letter or digit.";
  }
  if (!namePattern.test(name)) {
    return "Use only letters, digits, ., - and _.";
  }
  return taken.includes(name) ? `The name ${name} is taken.` : "";
}

/** Returns a free name derived from an image's: "micro-1", "micro-2". */
export function suggestName(image: string, taken: readonly string[]): string {
  const stem =
    image
      .replace(/_\d{10,}(?=\.|$)/, "")
      .replace(/\.(qcow2|img|raw)$/i, "")
      .replace(/[^A-Za-z0-9._-]+/g, "-")
      .replace(/^[^A-Za-z0-9]+/, "")
      .slice(0, 50) || "node";
  let number = 1;
  while (taken.includes(`${stem}-${number}`)) {
    number++;
  }
  return `${stem}-${number}`;
}

/** The minimum RAM of a node in MiB. */
export const leastRAM = 64;

/** Size presets; RAM in MiB. */
export const presets = [
  { name: "Tiny", ram: 256, cpus: 1 },
  { name: "Small", ram: 512, cpus: 1 },
  { name: "Medium", ram: 2048, cpus: 2 },
  { name: "Large", ram: 4096, cpus: 4 },
] as const;

/** The maximum size of a node on a host. */
export interface Limits {
  host: string;
  /** RAM in MiB; undefined while unknown. */
  ram: number | undefined;
  cpus: number | undefined;
}

/** Returns the limits of the selected host, or of the first one if the service selects it. */
export function limitsOf(hosts: readonly Host[], chosen: string): Limits {
  const host = hosts.find(({ name }) => name === chosen) ?? (chosen === "" ? hosts[0] : undefined);
  return {
    host: host?.name ?? chosen,
    ram: host && known(Math.floor(host.memoryBytes / 1024 ** 2)),
    cpus: host && known(host.cpus),
  };
}

/** A host that is not connected yet reports 0. */
function known(amount: number): number | undefined {
  return amount > 0 ? amount : undefined;
}

/** Returns why a preset is too large for a host; empty if it isn't. */
export function presetProblem(preset: (typeof presets)[number], limits: Limits): string {
  const reasons = [
    ...(preset.cpus > (limits.cpus ?? Infinity) ? [[plural(preset.cpus, "CPU"), String(limits.cpus)]] : []),
    ...(preset.ram > (limits.ram ?? Infinity) ? [[`${formatRAM(preset.ram)} of RAM`, formatRAM(limits.ram ?? 0)]] : []),
  ];
  if (reasons.length === 0) {
    return "";
  }
  const all = (index: 0 | 1) => reasons.map((reason) => reason[index]).join(" and ");
  return `${preset.name} is not available: needs ${all(0)}, host "${limits.host}" has ${all(1)}.`;
}

/** The form fields, as typed. */
export interface Draft extends FirstBoot {
  name: string;
  /** RAM in MiB. */
  ram: string;
  cpus: string;
  /** Disk in GiB; empty for the size of the image. */
  disk: string;
  host: string;
  /** Empty for the host's default. */
  network: string;
  /** Empty for the image's default. */
  firmware: Firmware | "";
  /** Empty for the image's default. */
  tpm: "yes" | "no" | "";
}

/** The default disk size of nodes that are created from installation media, in bytes. */
export const installDisk = 10 * gibibyte;
/** The network name for user-mode networking, which is outbound only. */
export const userNetwork = "user";
/** The network name for a node without a network interface. */
export const noNetwork = "none";

/** Whether nodes of an image start with an empty disk and the image in their optical drive. */
export function isMedia(image: Image | undefined): boolean {
  return image?.format === "iso";
}

export type DraftProblems = Record<"name" | "ram" | "cpus" | "disk", string> & FirstBootProblems;

/** Returns the problem of each field; empty if it is valid. */
export function draftProblems(
  draft: Draft,
  image: Image | undefined,
  nodes: readonly Node[],
  limits: Limits,
): DraftProblems {
  const taken = nodes.filter((node) => draft.host === "" || node.host === draft.host).map((node) => node.name);
  return {
    name: nameProblem(draft.name, taken),
    ram: wholeNumberProblem(draft.ram, leastRAM, "MiB of RAM") || tooMuch(draft.ram, limits.ram, limits.host),
    cpus: wholeNumberProblem(draft.cpus, 1, "CPU") || tooMuch(draft.cpus, limits.cpus, limits.host),
    disk: diskProblem(draft.disk, image),
    ...firstBootProblems(draft),
  };
}

/** Returns the problem of a typed number; empty if it is valid. */
export function wholeNumberProblem(text: string, least: number, unit: string): string {
  const value = Number(text);
  return /^\d+$/.test(text.trim()) && value >= least ? "" : `Enter a whole number of at least ${least} ${unit}.`;
}

function tooMuch(text: string, most: number | undefined, host: string): string {
  return most !== undefined && Number(text) > most ? `At most ${most} on host "${host}".` : "";
}

function diskProblem(text: string, image: Image | undefined): string {
  if (text.trim() === "") {
    return "";
  }
  const gibibytes = Number(text);
  if (!Number.isFinite(gibibytes) || gibibytes <= 0) {
    return "Enter a number of GiB. Leave empty for the image's size.";
  }
  const least = isMedia(image) ? 0 : (image?.virtualSize ?? 0);
  return gibibytes * gibibyte < least ? `The image needs at least ${formatBytes(least)}.` : "";
}

/** Returns the request for a valid draft. */
export function specOf(draft: Draft, imageID: string): NodeSpec {
  const disk = draft.disk.trim();
  const cloudInit = cloudInitOf(draft);
  return {
    name: draft.name,
    image: imageID,
    ...(draft.host === "" ? {} : { host: draft.host }),
    ...(draft.network === "" ? {} : { network: draft.network }),
    ...(draft.firmware === "" ? {} : { firmware: draft.firmware }),
    ...(draft.tpm === "" ? {} : { tpm: draft.tpm === "yes" }),
    resources: {
      ram: Number(draft.ram),
      cpus: Number(draft.cpus),
      ...(disk === "" ? {} : { disk: Math.round(Number(disk) * gibibyte) }),
    },
    ...(cloudInit ? { cloudInit } : {}),
  };
}

/**
 * Returns a shell command that creates the same node. With withToken it expects an API token in
 * the environment variable SANDBOXLABS_TOKEN.
 */
export function curlCommand(origin: string, spec: NodeSpec, withToken: boolean): string {
  const lines = [
    `curl -X POST ${origin}/api/nodes`,
    ...(withToken ? [`-H "Authorization: Bearer $SANDBOXLABS_TOKEN"`] : []),
    `-H 'Content-Type: application/json'`,
    `-d '${JSON.stringify(spec).replaceAll("'", `'\\''`)}'`,
  ];
  return lines.join(" \\\n  ");
}
