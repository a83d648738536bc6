import { Button, Tooltip } from "@patternfly/react-core";
import CheckIcon from "@patternfly/react-icons/dist/esm/icons/check-icon";
import CopyIcon from "@patternfly/react-icons/dist/esm/icons/copy-icon";
import { useEffect, useState } from "react";

import { copyText } from "../clipboard";

interface CopyButtonProps {
  text: string;
  /** What is copied, for its tooltip and screen readers: "Copy the digest". */
  label: string;
}

const shownFor = 2_000;

/** A small button that copies a text and says so. */
export function CopyButton({ text, label }: CopyButtonProps) {
  const [outcome, setOutcome] = useState<"" | "Copied" | "Copying was refused by the browser">("");
  useEffect(() => {
    if (outcome === "") {
      return;
    }
    const timer = setTimeout(() => setOutcome(""), shownFor);
    return () => clearTimeout(timer);
  }, [outcome]);
  return (
    <Tooltip content={outcome || label} aria="none" aria-live="polite">
      <Button
        variant="plain"
        size="sm"
        hasNoPadding
        aria-label={label}
        icon={outcome === "Copied" ? <CheckIcon /> : <CopyIcon />}
        onClick={async () => setOutcome((await copyText(text)) ? "Copied" : "Copying was refused by the browser")}
      />
    </Tooltip>
  );
}
