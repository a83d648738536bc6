import logo from "./logo.svg";

/** The logo of SandboxLabs: square, without text. */
export function Logo({ size }: { size: number }) {
  return <img src={logo} width={size} height={size} alt="" />;
}
