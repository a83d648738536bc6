/**
 * Where the service is below its origin: "" or a path such as "/sandbox", which the
 * service writes into its page (`public-url`).
 */
export const base = basePath(
  typeof document === "undefined" ? undefined : document.querySelector<HTMLMetaElement>('meta[name="sandboxlabs-base"]')?.content,
);

/** The path of a folder without the slash at its end. */
export function basePath(folder: string | undefined): string {
  return (folder ?? "/").replace(/\/+$/, "");
}

/** The address of a path of the service, for everything but the router, which knows the base. */
export function atBase(path: string): string {
  return base + path;
}

/** The address of the service, for what people copy. */
export function serviceURL(): string {
  return location.origin + base;
}

/**
 * Goes to the page's own address where the service was opened past its base, as on its
 * local port; returns whether it did.
 */
export function enterBase(): boolean {
  const { pathname, search, hash } = location;
  if (pathname === base || pathname.startsWith(`${base}/`)) {
    return false;
  }
  location.replace(base + pathname + search + hash);
  return true;
}
