import type { NodeSpec } from "./api/types";

/** What a node boots with. */
export type Firmware = NonNullable<NodeSpec["firmware"]>;

/** What nodes boot with, in words. */
export const firmwareNames: Record<Firmware, string> = {
  bios: "BIOS",
  uefi: "UEFI",
  "uefi-secure": "UEFI with Secure Boot",
};

/** All of them, in the order of choices. */
export const firmwares = Object.keys(firmwareNames) as Firmware[];
