import type { CloudInit } from "../../shared/api/types";

const hostnamePattern = /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/;
// A kind of key, and the key in base64; options may come first, a comment last.
const keyPattern = /(^|\s)(ssh-|ecdsa-|sk-)\S+\s+AAAA\S+/;
// How data that cloud-init takes begins; H4sI is gzip in Base64.
const userDataPattern =
  /^\s*(#cloud-config|#!|#include|#part-handler|#cloud-boothook|## template: jinja|Content-Type:|MIME-Version:|H4sI)/i;

/** What a guest is told at its first boot, as it was typed. */
export interface FirstBoot {
  hostname: string;
  /** One public key a line. */
  sshKeys: string;
  userData: string;
}

export type FirstBootProblems = Record<keyof FirstBoot, string>;

export const nothingToTell: FirstBoot = { hostname: "", sshKeys: "", userData: "" };

/** What is wrong with each field; empty where nothing is, as in a field that is empty. */
export function firstBootProblems({ hostname, sshKeys, userData }: FirstBoot): FirstBootProblems {
  const name = hostname.trim();
  const wrongKey = keysIn(sshKeys).findIndex((key) => !keyPattern.test(key));
  return {
    hostname:
      name === "" || (name.length <= 253 && hostnamePattern.test(name))
        ? ""
        : "Use letters, digits and dashes, in parts of at most 63 that dots divide.",
    sshKeys:
      wrongKey < 0
        ? ""
        : `Key ${wrongKey + 1} is no public SSH key. Give lines such as the one in ~/.ssh/id_ed25519.pub.`,
    userData:
      userData.trim() === "" || userDataPattern.test(userData)
        ? ""
        : "Must start with #cloud-config, #! or a MIME header, without a comment before it.",
  };
}

/** The part of a request that it stands for; undefined when the guest is told nothing. */
export function cloudInitOf({ hostname, sshKeys, userData }: FirstBoot): CloudInit | undefined {
  const keys = keysIn(sshKeys);
  const told: CloudInit = {
    ...(hostname.trim() === "" ? {} : { hostname: hostname.trim() }),
    ...(keys.length === 0 ? {} : { sshKeys: keys }),
    ...(userData.trim() === "" ? {} : { userData }),
  };
  return Object.keys(told).length === 0 ? undefined : told;
}

/** The keys in a text, one a line. */
export function keysIn(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
}
