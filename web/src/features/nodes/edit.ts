import type { Node, NodeEdit, ResizedNode } from "../../shared/api/types";
import { formatBytes } from "../../shared/format";
import { gibibyte, leastRAM, wholeNumberProblem } from "./spec";

/** The form fields of an edited node, as typed. */
export interface EditDraft {
  /** RAM in MiB. */
  ram: string;
  cpus: string;
  /** Disk in GiB. */
  disk: string;
  /** Tags, separated by commas. */
  tags: string;
  description: string;
  autostart: boolean;
}

export type EditProblems = Record<"ram" | "cpus" | "disk" | "tags" | "description", string>;

/** The limits of the service. */
const most = { tags: 32, tagLength: 64, descriptionBytes: 4096 } as const;

/** Returns the initial form fields of a node: the values for its next start. */
export function draftOf(node: Node): EditDraft {
  const { ram, cpus } = node.next ?? node.resources;
  return {
    ram: String(ram),
    cpus: String(cpus),
    disk: node.resources.disk > 0 ? String(inGibibytes(node.resources.disk)) : "",
    tags: node.tags.join(", "),
    description: node.description,
    autostart: node.autostart,
  };
}

function inGibibytes(bytes: number): number {
  return Math.round((bytes / gibibyte) * 100) / 100;
}

/** Parses tags, without duplicates. */
export function tagsIn(text: string): string[] {
  return [
    ...new Set(
      text
        .split(",")
        .map((tag) => tag.trim())
        .filter(Boolean),
    ),
  ];
}

/** Returns the problem of each field; empty if it is valid. */
export function editProblems(draft: EditDraft, node: Node): EditProblems {
  const tags = tagsIn(draft.tags);
  const first = draftOf(node);
  return {
    ram: draft.ram === first.ram ? "" : wholeNumberProblem(draft.ram, leastRAM, "MiB of RAM"),
    cpus: wholeNumberProblem(draft.cpus, 1, "CPU"),
    disk: draft.disk === first.disk ? "" : diskProblem(draft.disk, node),
    tags:
      tags.length > most.tags
        ? `Enter at most ${most.tags} tags.`
        : tags.some((tag) => tag.length > most.tagLength)
          ? `Tags can have at most ${most.tagLength} characters.`
          : "",
    description:
      new TextEncoder().encode(draft.description).length > most.descriptionBytes
        ? `The description can have at most ${most.descriptionBytes} bytes.`
        : "",
  };
}

function diskProblem(text: string, node: Node): string {
  const bytes = Number(text) * gibibyte;
  if (text.trim() === "" || !Number.isFinite(bytes) || bytes <= 0) {
    return "Enter a number of GiB.";
  }
  return bytes < node.resources.disk ? `Can't be reduced. Enter at least ${formatBytes(node.resources.disk)}.` : "";
}

/** Returns the request for a valid draft; it only contains the changed fields. */
export function editOf(draft: EditDraft, node: Node): NodeEdit {
  const first = draftOf(node);
  const resources = {
    ...(draft.ram === first.ram ? {} : { ram: Number(draft.ram) }),
    ...(draft.cpus === first.cpus ? {} : { cpus: Number(draft.cpus) }),
    ...(draft.disk === first.disk ? {} : { disk: Math.round(Number(draft.disk) * gibibyte) }),
  };
  return {
    ...(Object.keys(resources).length === 0 ? {} : { resources }),
    ...(draft.tags === first.tags ? {} : { tags: tagsIn(draft.tags) }),
    ...(draft.description === first.description ? {} : { description: draft.description }),
    ...(draft.autostart === first.autostart ? {} : { autostart: draft.autostart }),
  };
}

const sizes = { ram: "RAM", cpus: "CPUs", disk: "disk" } as const;

/** Describes when the new sizes take effect; empty if none was changed. */
export function whenResized({ resize }: Pick<ResizedNode, "resize">): string {
  const names = (when: "live" | "nextBoot") => resize.filter((one) => one.when === when).map(({ what }) => sizes[what]);
  const [now, later] = [names("live"), names("nextBoot")];
  return [
    ...(now.length > 0 ? [`New ${now.join(" and ")} now`] : []),
    ...(later.length > 0 ? [`new ${later.join(" and ")} at next start`] : []),
  ].join(", ");
}
