/** Returns the name if it is free, or else the name with the first suffix number that is. */
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
