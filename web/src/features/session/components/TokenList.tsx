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
import { isExpired, scopesText } from "../account";
import { useDeleteToken } from "../api/tokens";

interface TokenListProps {
  tokens: readonly Token[];
  /** Whether the tokens may belong to several users. */
  showsUser: boolean;
}

/** API tokens as a table, or as cards on narrow screens. */
export function TokenList({ tokens, showsUser }: TokenListProps) {
  const isWide = useIsWide();
  // Token names are only unique per user.
  const fullName = ({ name, user }: Token) => (showsUser ? `${name} of ${user}` : name);
  if (!isWide) {
    return (
      <ul className="sl-cards" aria-label="API tokens">
        {tokens.map((token) => (
          <Card key={token.id} component="li" isCompact data-token={token.name}>
            <CardTitle component="h3" className="sl-break">
              {token.name}
            </CardTitle>
            <CardBody className="sl-subtle">
              {showsUser && <div className="sl-break">User: {token.user}</div>}
              <div>Scopes: {scopesText(token.scopes)}</div>
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
              <Revoke token={token} fullName={fullName(token)} />
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
          <Th width={25}>Name</Th>
          {showsUser && <Th width={15}>User</Th>}
          <Th>Scopes</Th>
          <Th modifier="nowrap">Created</Th>
          <Th>Expires</Th>
          <Th modifier="nowrap">Last used</Th>
          <Th screenReaderText="Actions" />
        </Tr>
      </Thead>
      <Tbody>
        {tokens.map((token) => (
          <Tr key={token.id} data-token={token.name}>
            <Td dataLabel="Name" modifier="breakWord">
              {token.name}
            </Td>
            {showsUser && (
              <Td dataLabel="User" modifier="breakWord">
                {token.user}
              </Td>
            )}
            <Td dataLabel="Scopes">{scopesText(token.scopes)}</Td>
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
              <Revoke token={token} fullName={fullName(token)} />
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

function Revoke({ token, fullName }: { token: Token; fullName: string }) {
  const [isAsked, setAsked] = useState(false);
  const remove = useDeleteToken(token.id);
  const toasts = useToasts();
  // A promise, because the row may be unmounted before the response is handled:
  // callbacks of mutate are not called then.
  const confirm = async () => {
    try {
      await remove.mutateAsync();
      toasts.success(`Revoked ${fullName}`);
    } catch {
      // The dialog shows why.
    }
  };
  return (
    <>
      <Button size="sm" variant="secondary" isDanger aria-label={`Revoke ${fullName}`} onClick={() => setAsked(true)}>
        Revoke
      </Button>
      {isAsked && (
        <ConfirmDialog
          title={`Revoke ${fullName}?`}
          action="Revoke"
          pending={remove.isPending}
          error={remove.error}
          onConfirm={() => void confirm()}
          onClose={() => {
            setAsked(false);
            remove.reset();
          }}
        >
          Programs that use this token lose access immediately. This can't be undone.
        </ConfirmDialog>
      )}
    </>
  );
}
