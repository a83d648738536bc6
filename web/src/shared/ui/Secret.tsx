import { Alert, CodeBlock, CodeBlockAction, CodeBlockCode, Stack, StackItem } from "@patternfly/react-core";
import type { ReactNode } from "react";

import { CopyButton } from "./CopyButton";

interface SecretProps {
  /** What to do with the secret. */
  warning: string;
  secret: string;
  /** The label of the copy button: "Copy password". */
  copyLabel: string;
  /** Below the secret. */
  children?: ReactNode;
}

/** A secret that is shown only once. */
export function Secret({ warning, secret, copyLabel, children }: SecretProps) {
  return (
    <Stack hasGutter>
      <StackItem>
        <Alert component="h2" isInline variant="warning" title={warning} />
      </StackItem>
      <StackItem>
        <CodeBlock
          actions={
            <CodeBlockAction>
              <CopyButton text={secret} label={copyLabel} />
            </CodeBlockAction>
          }
        >
          <CodeBlockCode data-secret>{secret}</CodeBlockCode>
        </CodeBlock>
      </StackItem>
      {children}
    </Stack>
  );
}
