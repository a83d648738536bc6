import type { Account, Quota } from "../../shared/api/types";
import { formatBytes, formatRAM } from "../../shared/format";

type Bound = keyof Quota;

const gibibyte = 1024 ** 3;

interface BoundLook {
  label: string;
  /** Shown next to the field. */
  unit: string;
  /** The API's units per unit of the field. */
  factor: number;
  format: (amount: number) => string;
}

const count = { unit: "", factor: 1, format: String } as const;

/** The limits of a quota in display order. */
export const bounds: Readonly<Record<Bound, BoundLook>> = {
  nodes: { label: "Nodes", ...count },
  running: { label: "Running nodes", ...count },
  cpus: { label: "CPUs of running nodes", ...count },
  ram: { label: "RAM of running nodes", unit: "MiB", factor: 1, format: formatRAM },
  disk: { label: "Disks and images", unit: "GiB", factor: gibibyte, format: formatBytes },
  uploads: { label: "Concurrent uploads", ...count },
  networks: { label: "Networks", ...count },
  labs: { label: "Labs", ...count },
};

export const boundNames = Object.keys(bounds) as readonly Bound[];

/** A quota as typed; an empty text means no limit. */
export type QuotaDraft = Record<Bound, string>;

export function draftOf(quota: Quota | undefined): QuotaDraft {
  const text = (name: Bound) => {
    const bound = quota?.[name];
    return bound === undefined ? "" : String(bound / bounds[name].factor);
  };
  return Object.fromEntries(boundNames.map((name) => [name, text(name)])) as QuotaDraft;
}

/** Returns the problem of a typed limit; empty if it is valid. */
export function boundProblem(name: Bound, text: string): string {
  if (text.trim() === "") {
    return "";
  }
  const value = Number(text);
  if (!(value >= 0 && Number.isFinite(value))) {
    return "Enter a number, or leave empty for no limit.";
  }
  return bounds[name].factor === 1 && !Number.isInteger(value) ? "Enter a whole number." : "";
}

/** Returns the quota for a draft. */
export function quotaOf(draft: QuotaDraft): Quota {
  const given = boundNames.filter((name) => draft[name].trim() !== "");
  return Object.fromEntries(given.map((name) => [name, Math.round(Number(draft[name]) * bounds[name].factor)]));
}

/** The usage of one limit. */
export interface Usage {
  name: Bound;
  used: number;
  /** Undefined: no limit. */
  most: number | undefined;
  /** "3 of 10", "3". */
  text: string;
}

/** Returns an account's usage by limit; empty if unknown. */
export function usageOf({ quota, used }: Pick<Account, "quota" | "used">): Usage[] {
  if (!used) {
    return [];
  }
  return boundNames.map((name) => {
    const { format } = bounds[name];
    const amount = used[name] ?? 0;
    const most = quota?.[name];
    return {
      name,
      used: amount,
      most,
      text: most === undefined ? format(amount) : `${format(amount)} of ${format(most)}`,
    };
  });
}

/** Returns the used share of a limit, from 0; 1 if it is used up, also for a limit of 0. */
export function shareOf({ used, most }: Usage): number {
  return most === undefined ? 0 : most === 0 ? 1 : used / most;
}
