import { CodeBlock, CodeBlockAction, CodeBlockCode, ExpandableSection, Skeleton } from "@patternfly/react-core";
import { useState } from "react";

import type { Node } from "../../../shared/api/types";
import { CopyButton } from "../../../shared/ui/CopyButton";
import { ProblemAlert } from "../../../shared/ui/ProblemAlert";
import { useNodeXML } from "../api/getNodeXML";

/** The domain's definition as libvirt has it, read when it is asked for. */
export function NodeXML({ node }: { node: Node }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <ExpandableSection
      className="sl-xml"
      toggleText="Domain XML"
      isExpanded={isOpen}
      onToggle={(_event, expanded) => setOpen(expanded)}
    >
      {isOpen && <Definition node={node} />}
    </ExpandableSection>
  );
}

function Definition({ node }: { node: Node }) {
  const xml = useNodeXML(node);
  if (xml.error) {
    return <ProblemAlert title="The XML cannot be shown" error={xml.error} onRetry={() => void xml.refetch()} />;
  }
  if (xml.data === undefined) {
    return <Skeleton height="8rem" screenreaderText="Loading the XML" />;
  }
  return (
    <CodeBlock
      actions={
        <CodeBlockAction>
          <CopyButton text={xml.data} label="Copy the XML" />
        </CodeBlockAction>
      }
    >
      <CodeBlockCode>{xml.data}</CodeBlockCode>
    </CodeBlock>
  );
}
