/** A range of a console's log that begins and ends with whole characters. */
export interface LogPart {
  /** Offset of the first byte. */
  offset: number;
  /** Offset after the last byte. */
  end: number;
  bytes: Uint8Array;
  /** Size of the whole log in bytes. */
  size: number;
}

const lineFeed = 10;

/**
 * Drops the incomplete line at the start, so that parts that are read backwards meet between
 * lines. Unchanged at the start of the log, and if nothing would be left.
 */
export function fromLineStart(part: LogPart): LogPart {
  const end = part.bytes.indexOf(lineFeed);
  return part.offset === 0 || end < 0 || end === part.bytes.length - 1
    ? part
    : { ...part, offset: part.offset + end + 1, bytes: part.bytes.subarray(end + 1) };
}

/** Drops an incomplete UTF-8 character at the end. */
export function toWholeCharacter(part: LogPart): LogPart {
  const { bytes } = part;
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte >= 0xc0) {
      const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return length > back ? { ...part, end: part.end - back, bytes: bytes.subarray(0, bytes.length - back) } : part;
    }
    if (byte < 0x80) {
      break;
    }
  }
  return part;
}

/** Splits a part into what is before the line at an offset, that line, and the rest. */
export function aroundLine(part: LogPart, place: number): { before: string; line: string; after: string } {
  const begin = Math.max(0, place - part.offset);
  const found = part.bytes.indexOf(lineFeed, begin);
  const end = found < 0 ? part.bytes.length : found;
  return {
    before: readable(part.bytes.subarray(0, begin)),
    line: readable(part.bytes.subarray(begin, end)),
    after: readable(part.bytes.subarray(end)),
  };
}

/** Splits a text at the case-insensitive matches; the matches are at the odd indexes. */
export function splitAround(text: string, searched: string): string[] {
  return searched === "" ? [text] : text.split(new RegExp(`(${searched.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")})`, "i"));
}

const decoder = new TextDecoder();

/** Returns what a terminal would show, line by line, without colours and other control sequences. */
export function readable(output: Uint8Array | string): string {
  const text = typeof output === "string" ? output : decoder.decode(output);
  return text
    .replace(sequences, "")
    .replace(/\r+(?=\n)/g, "")
    .split("\n")
    .map(overwritten)
    .join("\n");
}

/* eslint-disable no-control-regex -- this code handles control characters. */
const sequences = new RegExp(
  [
    "\\x1b\\[[0-?]*[ -/]*[@-~]?", // CSI: colours, cursor
    "\\x1b\\][^\\x07\\x1b]*(?:\\x07|\\x1b\\\\)?", // OSC: titles
    "\\x1b[PX^_][^\\x1b]*(?:\\x1b\\\\)?", // strings for the terminal
    "\\x1b[ -/]*[0-~]?", // all others
  ].join("|"),
  "g",
);
const otherControls = /[\x00-\x08\x0b-\x1f\x7f]/g;

/** Applies carriage returns and backspaces to a line. */
function overwritten(line: string): string {
  if (!/[\x00-\x08\x0b-\x1f\x7f]/.test(line)) {
    return line;
  }
  const shown: string[] = [];
  let column = 0;
  for (const character of line) {
    if (character === "\r") {
      column = 0;
    } else if (character === "\b") {
      column = Math.max(0, column - 1);
    } else {
      shown[column++] = character;
    }
  }
  return shown.join("").replace(otherControls, "");
}
/* eslint-enable no-control-regex */
