import { Alert, CodeBlock, CodeBlockAction, CodeBlockCode, Stack, StackItem } from "@patternfly/react-core";

import { CopyButton } from "../../../shared/ui/CopyButton";

/** A password that is shown this once, to be handed over. */
export function Secret({ password, name }: { password: string; name: string }) {
  return (
    <Stack hasGutter>
      <StackItem>
        <Alert component="h2" isInline variant="warning" title={`Hand it to ${name} now: it is shown this once.`} />
      </StackItem>
      <StackItem>
        <CodeBlock
          actions={
            <CodeBlockAction>
              <CopyButton text={password} label="Copy the password" />
            </CodeBlockAction>
          }
        >
          <CodeBlockCode data-secret>{password}</CodeBlockCode>
        </CodeBlock>
      </StackItem>
    </Stack>
  );
}
