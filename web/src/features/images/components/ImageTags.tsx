import { Label } from "@patternfly/react-core";

/** An image's tags; nothing if it has none. */
export function ImageTags({ tags }: { tags: readonly string[] }) {
  return tags.length > 0 ? (
    <span className="sl-image-tags">
      {tags.map((tag) => (
        <Label key={tag} isCompact variant="outline">
          {tag}
        </Label>
      ))}
    </span>
  ) : null;
}
