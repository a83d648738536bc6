import { describe, expect, test } from "vitest";

import { cloudInitOf, firstBootProblems, nothingToTell } from "./firstBoot";

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0XKq ann@laptop";

describe("firstBootProblems", () => {
  test("finds none if all fields are empty", () => {
    expect(firstBootProblems(nothingToTell)).toEqual(nothingToTell);
  });
  test.each(["web1", "web-1.lab.example", " padded "])("host name %j is valid", (hostname) => {
    expect(firstBootProblems({ ...nothingToTell, hostname }).hostname).toBe("");
  });
  test.each(["-web", "web_1", "a b", "a..b", "x".repeat(64)])("host name %j is not valid", (hostname) => {
    expect(firstBootProblems({ ...nothingToTell, hostname }).hostname).not.toBe("");
  });
  test("names the line that is not a key", () => {
    const ecdsa = "ecdsa-sha2-nistp256 AAAAE2VjZHNh";
    expect(firstBootProblems({ ...nothingToTell, sshKeys: `${key}\n\n${ecdsa}\n` }).sshKeys).toBe("");
    expect(firstBootProblems({ ...nothingToTell, sshKeys: `${key}\nnot a key` }).sshKeys).toContain("Key 2");
  });
  test.each(["#cloud-config\n", "#!/bin/sh\n", "MIME-Version: 1.0\n"])("user data %j is valid", (userData) => {
    expect(firstBootProblems({ ...nothingToTell, userData }).userData).toBe("");
  });
  test("checks vendor data as user data", () => {
    expect(firstBootProblems({ ...nothingToTell, vendorData: "#cloud-config\n" }).vendorData).toBe("");
    expect(firstBootProblems({ ...nothingToTell, vendorData: "packages: [git]" }).vendorData).toContain(
      "#cloud-config",
    );
  });
  test("reports user data that cloud-init would ignore", () => {
    expect(firstBootProblems({ ...nothingToTell, userData: "packages: [git]" }).userData).toContain("#cloud-config");
    expect(firstBootProblems({ ...nothingToTell, userData: "# mine\n#cloud-config\n" }).userData).toContain("comment");
  });
});

describe("cloudInitOf", () => {
  test("is undefined if all fields are empty", () => {
    expect(cloudInitOf({ hostname: " ", sshKeys: "\n", userData: "\n", vendorData: " " })).toBeUndefined();
  });
  test("has only the filled fields", () => {
    expect(cloudInitOf({ ...nothingToTell, hostname: " web1 " })).toEqual({ hostname: "web1" });
    const scripts = { userData: "#!/bin/sh\necho\n", vendorData: "#cloud-config\n" };
    expect(cloudInitOf({ hostname: "", sshKeys: ` ${key}\n\n`, ...scripts })).toEqual({
      sshKeys: [key],
      ...scripts,
    });
  });
});
