import type { NodeSpec } from "./api/types";

/** The firmware of a node. */
export type Firmware = NonNullable<NodeSpec["firmware"]>;

/** The display names of firmwares. */
export const firmwareNames: Record<Firmware, string> = {
  bios: "BIOS",
  uefi: "UEFI",
  "uefi-secure": "UEFI with Secure Boot",
};

/** All firmwares in display order. */
export const firmwares = Object.keys(firmwareNames) as Firmware[];
