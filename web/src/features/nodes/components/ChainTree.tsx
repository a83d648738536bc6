import { Label, type LabelProps, Title } from "@patternfly/react-core";
import { Link } from "react-router";

import type { ChainFile, DiskChain, Node } from "../../../shared/api/types";
import { formatBytes, plural } from "../../../shared/format";
import { paths } from "../../../shared/paths";
import { useChain } from "../api/chain";
import { ViewState } from "./ViewState";

const kinds: Record<ChainFile["kind"], { text: string; color: NonNullable<LabelProps["color"]> }> = {
  overlay: { text: "overlay", color: "blue" },
  disk: { text: "disk", color: "blue" },
  snapshot: { text: "snapshot", color: "purple" },
  image: { text: "image", color: "green" },
  seed: { text: "cloud-init", color: "grey" },
  media: { text: "media", color: "teal" },
  missing: { text: "missing", color: "red" },
  outside: { text: "not in a pool", color: "orange" },
};

/** The backing files of a node's disks as a tree, with their sizes and the other nodes that use them. */
export function ChainTree({ node }: { node: Node }) {
  const chain = useChain(node.id);
  return (
    <div className="sl-view__further">
      <div>
        <Title headingLevel="h2" size="lg">
          Backing files
        </Title>
        {chain.data && (
          <p className="sl-subtle">
            Files that no other node depends on take {formatBytes(chain.data.allocation)}: about what deleting the node
            frees.
          </p>
        )}
      </div>
      <ViewState what="the files" query={chain} />
      {chain.data && chain.data.disks.length > 0 && (
        <ul className="sl-tree" aria-label="Files of the disks">
          {chain.data.disks.map((disk: DiskChain) => (
            <File key={disk.target} file={disk.file} target={disk.target} />
          ))}
        </ul>
      )}
    </div>
  );
}

function File({ file, target }: { file: ChainFile; target?: string }) {
  const { path, kind, format, pool, volume, capacity, allocation, imageId, usedBy, base } = file;
  const others = [
    ...[...usedBy.nodes, ...usedBy.volumes].map(({ name }) => name),
    ...(usedBy.others > 0 ? [plural(usedBy.others, "more node")] : []),
  ];
  return (
    <li data-file={kind}>
      <div className="sl-tree__item">
        <div className="sl-tree__what">
          {target && <b>{target} </b>}
          <Label isCompact color={kinds[kind].color}>
            {kinds[kind].text}
          </Label>{" "}
          {imageId ? <Link to={paths.image(imageId)}>{imageId}</Link> : <code title={path}>{volume ?? path}</code>}
          <div className="sl-subtle">
            {[format, pool && `in ${pool}`, others.length > 0 && `also used by ${others.join(", ")}`]
              .filter(Boolean)
              .join(" · ")}
          </div>
        </div>
        {capacity > 0 && (
          <span className="sl-subtle">
            {formatBytes(allocation)} of {formatBytes(capacity)}
          </span>
        )}
      </div>
      {base && (
        <ul>
          <File file={base} />
        </ul>
      )}
    </li>
  );
}
