import type { Account } from "../../shared/api/types";

interface RoleLook {
  role: Account["role"];
  text: string;
  /** What those who have it may do. */
  may: string;
}

/** The roles, the mightiest first. */
export const roles: readonly RoleLook[] = [
  { role: "admin", text: "Administrator", may: "Full access." },
  { role: "instructor", text: "Instructor", may: "Creates nodes and images, and shares them." },
  { role: "student", text: "Student", may: "Uses what is shared with them." },
  { role: "viewer", text: "Viewer", may: "View-only access to what is shared with them." },
];

export function roleText(role: string): string {
  return roles.find((look) => look.role === role)?.text ?? role;
}

/** What is wrong with the name of a new account or group, as a sentence; empty when nothing is. */
export function nameProblem(name: string, taken: readonly string[]): string {
  if (name === "") {
    return "Enter a name.";
  }
  if (!/^[a-z0-9._+@-]{1,64}$/i.test(name)) {
    return "Use letters, digits, dots, dashes, underscores, plus and at signs; at most 64.";
  }
  return taken.some((other) => other.toLowerCase() === name.toLowerCase()) ? "The name is taken." : "";
}

const alphabet = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"; // none that looks like another

/** A password that is not guessed: about 116 bits. */
export function makePassword(): string {
  // Values beyond the last whole multiple are left out: each letter is as likely as the others.
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

/** What to do with the password that was made for somebody. */
export function handOver(name: string): string {
  return `Give it to ${name} now; it won't be shown again.`;
}
