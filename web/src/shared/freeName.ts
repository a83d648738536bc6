/** The name itself when nothing has it; else with the first number behind it that makes it free. */
export function freeName(name: string, taken: readonly string[]): string {
  if (!taken.includes(name)) {
    return name;
  }
  const stem = name.replace(/-\d+$/, "").slice(0, 55);
  let number = 2;
  while (taken.includes(`${stem}-${number}`)) {
    number++;
  }
  return `${stem}-${number}`;
}
