import { Button, type ButtonProps } from "@patternfly/react-core";
import { Link } from "react-router";

interface LinkButtonProps extends Pick<
  ButtonProps,
  "variant" | "icon" | "size" | "children" | "aria-label" | "className"
> {
  to: string;
}

/** A link to another page that looks like a button. */
export function LinkButton({ to, ...props }: LinkButtonProps) {
  return <Button {...props} component={(anchor: object) => <Link {...anchor} to={to} />} />;
}
