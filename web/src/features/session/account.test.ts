import { describe, expect, test } from "vitest";

import { agentName, expiryOf, isExpired, keyName, passwordProblems, scopesText, tokenNameProblem } from "./account";

const now = Date.UTC(2026, 0, 31, 12);

test("tokens expire after days, or never", () => {
  expect(expiryOf(30, now)).toBe("2026-03-02T12:00:00.000Z");
  expect(expiryOf(0, now)).toBeUndefined();
  expect(isExpired("2026-01-31T12:00:00Z", now)).toBe(true);
  expect(isExpired("2026-01-31T12:00:01Z", now)).toBe(false);
  expect(isExpired(undefined, now)).toBe(false);
});

test.each([
  ["ci", ""],
  [" ", "Enter a name."],
  ["ü".repeat(65), "Use at most 128 bytes."],
])("tokenNameProblem(%j)", (name, problem) => {
  expect(tokenNameProblem(name)).toBe(problem);
});

test("a token without scopes allows everything", () => {
  expect(scopesText([])).toBe("all");
  expect(scopesText(["nodes", "read"])).toBe("nodes, read");
});

describe("passwordProblems", () => {
  const good = { current: "the old password", fresh: "a new password", again: "a new password" };
  test("finds none in a valid change", () => {
    expect(passwordProblems(good)).toEqual({ fresh: "", again: "" });
  });
  test.each([
    [
      { fresh: "short", again: "short" },
      { fresh: "Use at least 12 characters.", again: "" },
    ],
    [
      { fresh: "x".repeat(1025), again: "x".repeat(1025) },
      { fresh: "Use at most 1024 bytes.", again: "" },
    ],
    [
      { fresh: good.current, again: good.current },
      { fresh: "The new password must differ from the current one.", again: "" },
    ],
    [{ again: "a new passwort" }, { fresh: "", again: "Passwords don't match." }],
  ])("%j", (change, problems) => {
    expect(passwordProblems({ ...good, ...change })).toEqual(problems);
  });
});

test.each([
  ["Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox on Linux"],
  [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0",
    "Edge on Windows",
  ],
  [
    "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36",
    "Chrome on Android",
  ],
  [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1",
    "Safari on iPhone",
  ],
  ["curl/8.14.1", "curl"],
  ["", "Unknown client"],
])("agentName(%j)", (agent, name) => {
  expect(agentName(agent)).toBe(name);
});

test.each([
  ["ssh-ed25519 AAAA ann@home", "ann@home"],
  ["ssh-ed25519 AAAA the key of ann", "the key of ann"],
  ["ssh-ed25519 AAAA", "ssh-ed25519"],
])("keyName(%j)", (key, name) => {
  expect(keyName(key)).toBe(name);
});
