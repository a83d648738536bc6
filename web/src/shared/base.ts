/**
 * The base path of the service: "" or a path such as "/sandbox", which the service writes into
 * the page (`public-url`).
 */
export const base = basePath(
  typeof document === "undefined"
    ? undefined
    : document.querySelector<HTMLMetaElement>('meta[name="sandboxlabs-base"]')?.content,
);

/** Removes a trailing slash from a path. */
export function basePath(folder: string | undefined): string {
  return (folder ?? "/").replace(/\/+$/, "");
}

/** Prefixes a path with the base path. Not for the router, which knows the base path. */
export function atBase(path: string): string {
  return base + path;
}

/** The URL of the service, for texts that users copy. */
export function serviceURL(): string {
  return location.origin + base;
}

/**
 * Redirects to the page's address below the base path if the service was opened without it,
 * for example on its local port; returns whether it did.
 */
export function enterBase(): boolean {
  const { pathname, search, hash } = location;
  if (pathname === base || pathname.startsWith(`${base}/`)) {
    return false;
  }
  location.replace(base + pathname + search + hash);
  return true;
}
