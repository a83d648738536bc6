import { paths } from "../../shared/paths";

interface AdminPlace {
  to: string;
  text: string;
  /** Whether the API lets instructors read what the page shows. */
  forInstructors: boolean;
}

/** The pages of administration, in their order. */
export const adminPlaces: readonly AdminPlace[] = [
  { to: paths.users, text: "Users", forInstructors: true },
  { to: paths.groups, text: "Groups", forInstructors: true },
  { to: paths.hosts, text: "Hosts", forInstructors: true },
  { to: paths.jobs, text: "Jobs", forInstructors: true },
  { to: paths.audit, text: "Audit", forInstructors: false },
  { to: paths.guacamoleSync, text: "Guacamole", forInstructors: false },
  { to: paths.settings, text: "Settings", forInstructors: false },
];

/** The place that a path belongs to. The page of one account is for administrators. */
export function placeOf(pathname: string): AdminPlace | undefined {
  if (pathname.startsWith(`${paths.users}/`)) {
    return { to: pathname, text: "User", forInstructors: false };
  }
  return adminPlaces.find(({ to }) => pathname === to);
}

/** Whether a role has anything to do in administration. */
export function mayAdminister(role: string): boolean {
  return role === "admin" || role === "instructor";
}
