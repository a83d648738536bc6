import { describe, expect, test } from "vitest";

import { type LogPart, aroundLine, fromLineStart, readable, splitAround, toWholeCharacter } from "./log";

const encoder = new TextEncoder();

function part(text: string | Uint8Array, offset = 0): LogPart {
  const bytes = typeof text === "string" ? encoder.encode(text) : text;
  return { offset, end: offset + bytes.length, bytes, size: offset + bytes.length };
}

function textOf({ bytes }: LogPart): string {
  return new TextDecoder().decode(bytes);
}

describe("fromLineStart", () => {
  test("leaves an incomplete line to the previous part", () => {
    const cut = fromLineStart(part("half\nwhole\n", 100));
    expect([cut.offset, cut.end, textOf(cut)]).toEqual([105, 111, "whole\n"]);
  });
  test("keeps the start of the log, and a line that is longer than the part", () => {
    expect(textOf(fromLineStart(part("first\nsecond")))).toBe("first\nsecond");
    expect(textOf(fromLineStart(part("endless", 100)))).toBe("endless");
    expect(textOf(fromLineStart(part("endless\n", 100)))).toBe("endless\n");
  });
});

describe("toWholeCharacter", () => {
  const euro = encoder.encode("a€");
  test.each([
    [euro, "a€", 4],
    [euro.subarray(0, 3), "a", 1],
    [euro.subarray(0, 2), "a", 1],
    [encoder.encode("plain"), "plain", 5],
    [new Uint8Array(), "", 0],
  ])("%#", (bytes, text, end) => {
    const whole = toWholeCharacter(part(bytes));
    expect([textOf(whole), whole.end]).toEqual([text, end]);
  });
  test("keeps bytes that are not UTF-8", () => {
    const bytes = new Uint8Array([0x80, 0x80, 0x80, 0x80]);
    expect(toWholeCharacter(part(bytes)).bytes).toEqual(bytes);
  });
});

test("aroundLine finds a line by its offset", () => {
  expect(aroundLine(part("one\r\ntwo\r\nthree", 50), 55)).toEqual({ before: "one\n", line: "two", after: "\nthree" });
  expect(aroundLine(part("one\ntwo", 50), 54)).toEqual({ before: "one\n", line: "two", after: "" });
});

test.each([
  ["\u001b[1;32mok\u001b[0m done\r\n", "ok done\n"],
  ["\u001b]0;title\u0007$ ", "$ "],
  ["\u001b(B\u001b=text", "text"],
  [" 10%\r 99%\r100%\n", "100%\n"],
  ["lonk\b\bng\n", "long\n"],
  ["bell\u0007, tab\tkept", "bell, tab\tkept"],
  ["cut off \u001b[3", "cut off "],
])("readable(%j) is %j", (output, text) => {
  expect(readable(output)).toBe(text);
});

test.each([
  ["Login: or login:", "LOGIN", ["", "Login", ": or ", "login", ":"]],
  ["a.b axb", "a.b", ["", "a.b", " axb"]],
  ["nothing", "else", ["nothing"]],
])("splitAround(%j, %j)", (text, searched, pieces) => {
  expect(splitAround(text, searched)).toEqual(pieces);
});
