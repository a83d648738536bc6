/**
 * Returns where to go after signing in: the requested page, but only a page of this UI. Browsers
 * drop tabs and line breaks from URLs and read "\" as "/", so "/\t/elsewhere" is another origin.
 */
export function safeNext(next: string | null): string {
  if (next === null || !/^\/(?![/\\])/.test(next) || /[\p{Cc}\\]/u.test(next)) {
    return "/";
  }
  const url = new URL(next, "http://here.invalid");
  const isOurs = url.origin === "http://here.invalid" && !/^\/(login|api|ws)(\/|$)/.test(url.pathname);
  return isOurs ? next : "/";
}

/** Returns why a sign-in at the provider failed, by the service's error code in the URL. */
export function providerProblem(code: string | null): string {
  switch (code) {
    case "forbidden":
      return "Your groups don't have access. Ask an administrator.";
    case "name_taken":
      return "An account with your name already exists and isn't linked to you. Ask an administrator to link it.";
    case "still_owner":
      return "A deleted account with your name still owns nodes or images. Ask an administrator.";
    case "source_unavailable":
      return "Can't reach the sign-in provider. Try again in a moment, or sign in with a password.";
    case "unauthenticated":
      return "The provider denied the sign-in, your account is disabled, or it took too long. Try again, or ask an administrator.";
    default:
      return "Couldn't sign in at the provider. Try again, or ask an administrator.";
  }
}
