import type { Account } from "../../shared/api/types";

interface RoleLook {
  role: Account["role"];
  text: string;
  /** What the role allows. */
  may: string;
}

/** The roles, the most powerful first. */
export const roles: readonly RoleLook[] = [
  { role: "admin", text: "Administrator", may: "Full access." },
  { role: "instructor", text: "Instructor", may: "Creates nodes and images, and shares them." },
  { role: "student", text: "Student", may: "Uses what is shared with them." },
  { role: "viewer", text: "Viewer", may: "View-only access to what is shared with them." },
];

export function roleText(role: string): string {
  return roles.find((look) => look.role === role)?.text ?? role;
}

/** Returns the problem of a new account's or group's name; empty if it is valid. */
export function nameProblem(name: string, taken: readonly string[]): string {
  if (name === "") {
    return "Enter a name.";
  }
  if (!/^[a-z0-9._+@-]{1,64}$/i.test(name)) {
    return "Use letters, digits, ., -, _, + and @; at most 64.";
  }
  return taken.some((other) => other.toLowerCase() === name.toLowerCase()) ? "The name is taken." : "";
}

const alphabet = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"; // without characters that look alike

/** Generates a random password of about 116 bits. */
export function makePassword(): string {
  // Values beyond the last whole multiple are skipped, so that all characters are equally likely.
  const most = 256 - (256 % alphabet.length);
  let password = "";
  while (password.length < 20) {
    for (const byte of crypto.getRandomValues(new Uint8Array(32))) {
      if (byte < most && password.length < 20) {
        password += alphabet[byte % alphabet.length] ?? "";
      }
    }
  }
  return password;
}

/** The hint next to a generated password. */
export function handOver(name: string): string {
  return `Give it to ${name} now; it won't be shown again.`;
}
