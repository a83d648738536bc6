import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";

import { matchPath } from "react-router";

import { paths } from "../src/shared/paths";

/** The IDs in a page's URL. */
export interface Things {
  node: string;
  lab: string;
  user: string;
}

const unknown = "00000000-0000-0000-0000-000000000000";

/** All pages of the UI by name; screenshots have the same names. */
export const places: Record<string, (of: Things) => string> = {
  "sign-in": () => paths.login,
  dashboard: () => paths.home,
  nodes: () => paths.nodes,
  "create-node": () => paths.newNode,
  node: ({ node }) => paths.node(node),
  console: ({ node }) => paths.console(node),
  "console-window": ({ node }) => paths.window(node, "console"),
  "screen-window": ({ node }) => paths.window(node, "screen"),
  guacamole: ({ node }) => paths.guacamole(node),
  labs: () => paths.labs,
  lab: ({ lab }) => paths.lab(lab),
  images: () => paths.images,
  catalog: () => paths.catalog,
  image: () => paths.image("micro"),
  account: () => paths.account,
  users: () => paths.users,
  user: ({ user }) => paths.user(user),
  groups: () => paths.groups,
  hosts: () => paths.hosts,
  jobs: () => paths.jobs,
  audit: () => paths.audit,
  "guacamole-sync": () => paths.guacamoleSync,
  settings: () => paths.settings,
  help: () => paths.help(),
  guide: () => paths.help("rest-by-example"),
  "no-such-node": () => paths.node(unknown),
  "no-such-lab": () => paths.lab(unknown),
  "no-such-image": () => paths.image(unknown),
  "no-such-user": () => paths.user("nobody"),
  "no-such-page": () => "/elsewhere",
};

const app = join(import.meta.dirname, "..", "src", "app");
const route = /<Route\s[^>]*?\bpath=(?:"([^"]+)"|\{`([^`]+)`\}|\{([^}]+)\})/g;

/** Returns the routes in the UI's source that none of the pages covers. */
export async function routesWithoutPlace(): Promise<string[]> {
  const visited = Object.values(places).map((pathOf) => pathOf({ node: "n", lab: "l", user: "u" }));
  const missing: string[] = [];
  const files = (await readdir(app, { recursive: true })).filter((file) => file.endsWith(".tsx"));
  for (const file of files) {
    const source = await readFile(join(app, file), "utf8");
    for (const [, text, template, expression] of source.matchAll(route)) {
      const pattern = text ?? (template ?? `\${${expression ?? ""}}`).replace(/\$\{paths\.(\w+)\}/g, pathNamed);
      if (pattern !== "*" && !isRedirect(source, pattern) && !visited.some((path) => matchPath(pattern, path))) {
        missing.push(pattern);
      }
    }
  }
  return missing;
}

/** Returns the path of an entry of paths; the name itself if it does not exist, so that the route is reported as missing. */
function pathNamed(whole: string, name: string): string {
  const path = (paths as Record<string, unknown>)[name];
  return typeof path === "string" ? path : whole;
}

/** A route that only redirects is not a page. */
function isRedirect(source: string, pattern: string): boolean {
  return pattern === paths.admin && source.includes("path={paths.admin} element={<Navigate");
}
