import logo from "./logo.svg";

/** The sign of SandboxLabs, square, with no text of its own. */
export function Logo({ size }: { size: number }) {
  return <img src={logo} width={size} height={size} alt="" />;
}
