/**
 * Where to go after signing in: the page that was asked for, and only ever a
 * page of ours. Browsers drop tabs and line ends from addresses, and read "\" as
 * "/": so "/\t/elsewhere" is not ours either.
 */
export function safeNext(next: string | null): string {
  if (next === null || !/^\/(?![/\\])/.test(next) || /[\p{Cc}\\]/u.test(next)) {
    return "/";
  }
  const url = new URL(next, "http://here.invalid");
  const isOurs = url.origin === "http://here.invalid" && !/^\/(login|api|ws)(\/|$)/.test(url.pathname);
  return isOurs ? next : "/";
}

/** Why a sign-in at the provider failed, by the code that the service sent the browser back with. */
export function providerProblem(code: string | null): string {
  switch (code) {
    case "forbidden":
      return "None of your groups may use this service. Ask an administrator.";
    case "name_taken":
      return "There is an account of your name here already, and it is not linked to you. Ask an administrator to link it.";
    case "still_owner":
      return "There are nodes or images of an account of your name that is no more. An administrator has to see to them first.";
    case "source_unavailable":
      return "The sign-in provider does not answer. Try again in a moment, or sign in by password.";
    case "unauthenticated":
      return "The provider did not let you in, your account here is disabled, or it took too long. Try again, or ask an administrator.";
    default:
      return "Signing in at the provider did not work. Try again, or ask an administrator.";
  }
}
