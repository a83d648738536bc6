import type { Owned } from "./api/users";

const shown = 5;

const plural = (count: number, what: string) => `${count} ${what}${count === 1 ? "" : "s"}`;

/** Lists what an account owns by kind: "2 nodes" and some of their names. */
export function ownedLines(owned: Owned): { what: string; names: string }[] {
  const named = (["nodes", "images", "labs", "networks"] as const).map((kind) => {
    const things = owned[kind];
    const names = things.slice(0, shown).map(({ name }) => name);
    if (things.length > shown) {
      names.push(`${things.length - shown} more`);
    }
    return { count: things.length, what: plural(things.length, kind.slice(0, -1)), names: names.join(", ") };
  });
  return [
    ...named,
    { count: owned.uploads, what: plural(owned.uploads, "unfinished upload"), names: "" },
    { count: owned.jobs, what: plural(owned.jobs, "running task"), names: "" },
  ]
    .filter(({ count }) => count > 0)
    .map(({ what, names }) => ({ what, names }));
}
