import { Button, Card, CardBody, CardFooter, CardTitle, Label } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useState } from "react";

import type { Token } from "../../../shared/api/types";
import { formatTime } from "../../../shared/format";
import { Ago } from "../../../shared/ui/Ago";
import { ConfirmDialog } from "../../../shared/ui/ConfirmDialog";
import { useToasts } from "../../../shared/ui/toasts";
import { useIsWide } from "../../../shared/useIsWide";
import { useNow } from "../../../shared/useNow";
import { isExpired } from "../account";
import { useDeleteToken } from "../api/tokens";

/** API tokens as a table, or as cards where there is no room for one. */
export function TokenList({ tokens }: { tokens: readonly Token[] }) {
  const isWide = useIsWide();
  if (!isWide) {
    return (
      <ul className="sl-cards" aria-label="API tokens">
        {tokens.map((token) => (
          <Card key={token.id} component="li" isCompact data-token={token.name}>
            <CardTitle component="h3" className="sl-break">
              {token.name}
            </CardTitle>
            <CardBody className="sl-subtle">
              <div>
                Created <Ago time={token.created} />
              </div>
              <div>
                Expires: <Expiry token={token} />
              </div>
              <div>
                Last used: <LastUse token={token} />
              </div>
            </CardBody>
            <CardFooter>
              <Revoke token={token} />
            </CardFooter>
          </Card>
        ))}
      </ul>
    );
  }
  return (
    <Table aria-label="API tokens" variant="compact" gridBreakPoint="" className="sl-table">
      <Thead>
        <Tr>
          <Th width={35}>Name</Th>
          <Th>Created</Th>
          <Th>Expires</Th>
          <Th>Last used</Th>
          <Th screenReaderText="Actions" />
        </Tr>
      </Thead>
      <Tbody>
        {tokens.map((token) => (
          <Tr key={token.id} data-token={token.name}>
            <Td dataLabel="Name" modifier="breakWord">
              {token.name}
            </Td>
            <Td dataLabel="Created">
              <Ago time={token.created} />
            </Td>
            <Td dataLabel="Expires">
              <Expiry token={token} />
            </Td>
            <Td dataLabel="Last used">
              <LastUse token={token} />
            </Td>
            <Td isActionCell>
              <Revoke token={token} />
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}

function Expiry({ token: { expires } }: { token: Token }) {
  const now = useNow(30_000);
  if (expires === undefined) {
    return "never";
  }
  return isExpired(expires, now) ? (
    <Label color="orange" isCompact>
      Expired
    </Label>
  ) : (
    <time dateTime={expires}>{formatTime(expires)}</time>
  );
}

function LastUse({ token: { used } }: { token: Token }) {
  return used === undefined ? "never" : <Ago time={used} />;
}

function Revoke({ token }: { token: Token }) {
  const [isAsked, setAsked] = useState(false);
  const remove = useDeleteToken(token.id);
  const toasts = useToasts();
  // A promise, since the row may leave the page before the answer is handled:
  // callbacks of mutate would not be called then.
  const confirm = async () => {
    try {
      await remove.mutateAsync();
      toasts.success(`${token.name} is revoked`);
    } catch {
      // The dialog shows why.
    }
  };
  return (
    <>
      <Button size="sm" variant="secondary" isDanger aria-label={`Revoke ${token.name}`} onClick={() => setAsked(true)}>
        Revoke
      </Button>
      {isAsked && (
        <ConfirmDialog
          title={`Revoke ${token.name}?`}
          action="Revoke"
          pending={remove.isPending}
          error={remove.error}
          onConfirm={() => void confirm()}
          onClose={() => {
            setAsked(false);
            remove.reset();
          }}
        >
          Programs that use this token are refused from now on. It cannot be brought back.
        </ConfirmDialog>
      )}
    </>
  );
}
