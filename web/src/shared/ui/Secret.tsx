import { Alert, CodeBlock, CodeBlockAction, CodeBlockCode, Stack, StackItem } from "@patternfly/react-core";
import type { ReactNode } from "react";

import { CopyButton } from "./CopyButton";

interface SecretProps {
  /** What to do with it now. */
  warning: string;
  secret: string;
  /** For the button that copies it: "Copy the password". */
  copyLabel: string;
  /** Below the secret. */
  children?: ReactNode;
}

/** A secret that is shown this once. */
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
