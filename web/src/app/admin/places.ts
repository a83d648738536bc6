import { paths } from "../../shared/paths";

interface AdminPlace {
  to: string;
  text: string;
  /** Whether instructors may read the page's data through the API. */
  forInstructors: boolean;
}

/** The administration pages in display order. */
export const adminPlaces: readonly AdminPlace[] = [
  { to: paths.users, text: "Users", forInstructors: true },
  { to: paths.groups, text: "Groups", forInstructors: true },
  { to: paths.hosts, text: "Hosts", forInstructors: true },
  { to: paths.jobs, text: "Jobs", forInstructors: true },
  { to: paths.audit, text: "Audit", forInstructors: false },
  { to: paths.guacamoleSync, text: "Guacamole", forInstructors: false },
  { to: paths.settings, text: "Settings", forInstructors: false },
];

/** Returns the page that a path belongs to. The page of a single account is for administrators. */
export function placeOf(pathname: string): AdminPlace | undefined {
  if (pathname.startsWith(`${paths.users}/`)) {
    return { to: pathname, text: "User", forInstructors: false };
  }
  return adminPlaces.find(({ to }) => pathname === to);
}

/** Whether a role may open any of the administration pages. */
export function mayAdminister(role: string): boolean {
  return role === "admin" || role === "instructor";
}
