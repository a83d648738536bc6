import type { CloudInit } from "../../shared/api/types";

const hostnamePattern = /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/;
// A kind of key, and the key in base64; options may come first, a comment last.
const keyPattern = /(^|\s)(ssh-|ecdsa-|sk-)\S+\s+AAAA\S+/;
// How data that cloud-init accepts starts; H4sI is gzip in Base64.
const userDataPattern =
  /^\s*(#cloud-config|#!|#include|#part-handler|#cloud-boothook|## template: jinja|Content-Type:|MIME-Version:|H4sI)/i;

/** The cloud-init fields of the form, as typed. */
export interface FirstBoot {
  hostname: string;
  /** One public key per line. */
  sshKeys: string;
  userData: string;
  /** Applied before the user data. */
  vendorData: string;
}

export type FirstBootProblems = Record<keyof FirstBoot, string>;

export const nothingToTell: FirstBoot = { hostname: "", sshKeys: "", userData: "", vendorData: "" };

/** Returns the problem of each field; empty if it is valid. All fields are optional. */
export function firstBootProblems({ hostname, sshKeys, userData, vendorData }: FirstBoot): FirstBootProblems {
  const name = hostname.trim();
  const wrongKey = keysIn(sshKeys).findIndex((key) => !keyPattern.test(key));
  return {
    hostname:
      name === "" || (name.length <= 253 && hostnamePattern.test(name))
        ? ""
        : "Enter a valid host name (letters, digits, hyphens, dots).",
    sshKeys: wrongKey < 0 ? "" : `Key ${wrongKey + 1} is not a valid SSH public key.`,
    userData: dataProblem(userData),
    vendorData: dataProblem(vendorData),
  };
}

function dataProblem(data: string): string {
  return data.trim() === "" || userDataPattern.test(data)
    ? ""
    : "Must start with #cloud-config, #! or a MIME header, without a comment before it.";
}

/** Returns the cloudInit part of a request; undefined if all fields are empty. */
export function cloudInitOf({ hostname, sshKeys, userData, vendorData }: FirstBoot): CloudInit | undefined {
  const keys = keysIn(sshKeys);
  const told: CloudInit = {
    ...(hostname.trim() === "" ? {} : { hostname: hostname.trim() }),
    ...(keys.length === 0 ? {} : { sshKeys: keys }),
    ...(userData.trim() === "" ? {} : { userData }),
    ...(vendorData.trim() === "" ? {} : { vendorData }),
  };
  return Object.keys(told).length === 0 ? undefined : told;
}

/** Returns the keys in a text, one per line. */
export function keysIn(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
}
