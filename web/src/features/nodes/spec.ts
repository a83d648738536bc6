import type { Image, Node, NodeSpec } from "../../shared/api/types";
import { formatBytes } from "../../shared/format";

const gibibyte = 1024 ** 3;
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** What is wrong with a node's name, as a sentence; empty when nothing is. */
export function nameProblem(name: string, taken: readonly string[]): string {
  if (name === "") {
    return "Give the node a name.";
  }
  if (name.length > 63) {
    return "Use at most 63 characters.";
  }
  if (!/^[A-Za-z0-9]/.test(name)) {
    return "Begin with a letter or a digit.";
  }
  if (!namePattern.test(name)) {
    return "Use letters, digits, dots, dashes and underscores only.";
  }
  return taken.includes(name) ? `There is a node named ${name} already. Choose another name.` : "";
}

/** A free name made from an image's: "micro-1", "micro-2". */
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

/** Ready-made sizes; RAM in MiB. */
export const presets = [
  { name: "Tiny", ram: 256, cpus: 1 },
  { name: "Small", ram: 512, cpus: 1 },
  { name: "Medium", ram: 2048, cpus: 2 },
  { name: "Large", ram: 4096, cpus: 4 },
] as const;

/** The fields of the form, as they were typed. */
export interface Draft {
  name: string;
  /** RAM in MiB. */
  ram: string;
  cpus: string;
  /** Disk in GiB; empty for the size of the image. */
  disk: string;
  host: string;
}

export type DraftProblems = Record<"name" | "ram" | "cpus" | "disk", string>;

/** What is wrong with each field; empty where nothing is. */
export function draftProblems(draft: Draft, image: Image | undefined, nodes: readonly Node[]): DraftProblems {
  const taken = nodes.filter((node) => draft.host === "" || node.host === draft.host).map((node) => node.name);
  return {
    name: nameProblem(draft.name, taken),
    ram: wholeNumberProblem(draft.ram, 16, "MiB of RAM"),
    cpus: wholeNumberProblem(draft.cpus, 1, "CPU"),
    disk: diskProblem(draft.disk, image),
  };
}

function wholeNumberProblem(text: string, least: number, unit: string): string {
  const value = Number(text);
  return /^\d+$/.test(text.trim()) && value >= least ? "" : `Give a whole number, at least ${least} ${unit}.`;
}

function diskProblem(text: string, image: Image | undefined): string {
  if (text.trim() === "") {
    return "";
  }
  const gibibytes = Number(text);
  if (!Number.isFinite(gibibytes) || gibibytes <= 0) {
    return "Give a number of GiB, or leave it empty for the size of the image.";
  }
  const least = image?.virtualSize ?? 0;
  return gibibytes * gibibyte < least ? `The image needs at least ${formatBytes(least)}.` : "";
}

/** The request that a draft without problems stands for. */
export function specOf(draft: Draft, imageID: string): NodeSpec {
  const disk = draft.disk.trim();
  return {
    name: draft.name,
    image: imageID,
    ...(draft.host === "" ? {} : { host: draft.host }),
    resources: {
      ram: Number(draft.ram),
      cpus: Number(draft.cpus),
      ...(disk === "" ? {} : { disk: Math.round(Number(disk) * gibibyte) }),
    },
  };
}

/**
 * The command that makes the same node from a shell. With withToken it expects
 * an API token in the shell's variable SANDBOXLABS_TOKEN.
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
