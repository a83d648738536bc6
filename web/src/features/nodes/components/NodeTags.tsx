import { Label } from "@patternfly/react-core";
import { Link } from "react-router";

import { paths } from "../../../shared/paths";

/** A node's tags; each links to all nodes with the tag. */
export function NodeTags({ tags }: { tags: readonly string[] }) {
  return tags.map((tag) => (
    <Label
      key={tag}
      isCompact
      color="blue"
      className="sl-tag"
      render={({ className, content }) => (
        <Link className={className} to={paths.nodesWith("tag", tag)}>
          {content}
        </Link>
      )}
    >
      {tag}
    </Label>
  ));
}
