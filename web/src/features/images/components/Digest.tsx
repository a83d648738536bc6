import type { Image } from "../../../shared/api/types";
import { CopyButton } from "../../../shared/ui/CopyButton";
import { titleOf } from "../library";

/** An image's SHA-256 with a copy button; shortened in lists. */
export function Digest({ image, isWhole = false }: { image: Image; isWhole?: boolean }) {
  const digest = image.sha256 ?? "";
  return (
    <span className="sl-copyable">
      <code title={digest} className="sl-break">
        {isWhole ? digest : digest.slice(0, 12)}
      </code>
      <CopyButton text={digest} label={`Copy the SHA-256 of ${titleOf(image)}`} />
    </span>
  );
}
