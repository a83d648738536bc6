import { describe, expect, test } from "vitest";

import { cloudInitOf, firstBootProblems, nothingToTell } from "./firstBoot";

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0XKq ann@laptop";

describe("firstBootProblems", () => {
  test("finds none where nothing is told", () => {
    expect(firstBootProblems(nothingToTell)).toEqual(nothingToTell);
  });
  test.each(["web1", "web-1.lab.example", " padded "])("host name %j is fine", (hostname) => {
    expect(firstBootProblems({ ...nothingToTell, hostname }).hostname).toBe("");
  });
  test.each(["-web", "web_1", "a b", "a..b", "x".repeat(64)])("host name %j is not", (hostname) => {
    expect(firstBootProblems({ ...nothingToTell, hostname }).hostname).not.toBe("");
  });
  test("names the line that is no key", () => {
    const ecdsa = "ecdsa-sha2-nistp256 AAAAE2VjZHNh";
    expect(firstBootProblems({ ...nothingToTell, sshKeys: `${key}\n\n${ecdsa}\n` }).sshKeys).toBe("");
    expect(firstBootProblems({ ...nothingToTell, sshKeys: `${key}\nnot a key` }).sshKeys).toContain("Key 2");
  });
  test.each(["#cloud-config\n", "#!/bin/sh\n", "MIME-Version: 1.0\n"])("user data %j is fine", (userData) => {
    expect(firstBootProblems({ ...nothingToTell, userData }).userData).toBe("");
  });
  test("user data that cloud-init would ignore is told", () => {
    expect(firstBootProblems({ ...nothingToTell, userData: "packages: [git]" }).userData).toContain("#cloud-config");
    expect(firstBootProblems({ ...nothingToTell, userData: "# mine\n#cloud-config\n" }).userData).toContain("comment");
  });
});

describe("cloudInitOf", () => {
  test("is absent when there is nothing to tell", () => {
    expect(cloudInitOf({ hostname: " ", sshKeys: "\n", userData: "\n" })).toBeUndefined();
  });
  test("has the filled fields alone", () => {
    expect(cloudInitOf({ ...nothingToTell, hostname: " web1 " })).toEqual({ hostname: "web1" });
    expect(cloudInitOf({ hostname: "", sshKeys: ` ${key}\n\n`, userData: "#!/bin/sh\necho\n" })).toEqual({
      sshKeys: [key],
      userData: "#!/bin/sh\necho\n",
    });
  });
});
