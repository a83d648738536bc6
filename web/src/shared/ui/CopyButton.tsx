import { Button, Tooltip } from "@patternfly/react-core";
import CheckIcon from "@patternfly/react-icons/dist/esm/icons/check-icon";
import CopyIcon from "@patternfly/react-icons/dist/esm/icons/copy-icon";
import { useEffect, useState } from "react";

import { copyText } from "../clipboard";

interface CopyButtonProps {
  text: string;
  /** The tooltip and accessible name: "Copy digest". */
  label: string;
}

const shownFor = 2_000;

/** A small button that copies a text and confirms it. */
export function CopyButton({ text, label }: CopyButtonProps) {
  const [outcome, setOutcome] = useState<"" | "Copied" | "Couldn't copy">("");
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
        onClick={async () => setOutcome((await copyText(text)) ? "Copied" : "Couldn't copy")}
      />
    </Tooltip>
  );
}
