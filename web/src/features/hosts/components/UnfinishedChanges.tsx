import { Alert, Button, Flex } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useState } from "react";
import { Link } from "react-router";

import type { Change } from "../../../shared/api/types";
import { plural } from "../../../shared/format";
import { paths } from "../../../shared/paths";
import { Ago } from "../../../shared/ui/Ago";
import { ConfirmDialog } from "../../../shared/ui/ConfirmDialog";
import { useToasts } from "../../../shared/ui/toasts";
import { useDropChange, useFinishChange } from "../api/changes";

const kinds: Record<string, string> = {
  "node.create": "Create node",
  "node.delete": "Delete node",
  "node.wipe": "Wipe node",
  "node.start": "Start node",
  "node.clone": "Clone node",
  "snapshot.revert": "Revert node",
  "disk.attach": "Attach disk",
  "disk.detach": "Detach disk",
  "network.create": "Create network",
  "network.delete": "Delete network",
};

/** Changes of a host that the service could neither complete nor undo, with the actions for each. */
export function UnfinishedChanges({ host, changes }: { host: string; changes: readonly Change[] }) {
  const [dropped, setDropped] = useState<Change | null>(null);
  const finish = useFinishChange();
  const drop = useDropChange();
  const toasts = useToasts();
  return (
    <>
      <Alert component="h3" isInline variant="warning" title={plural(changes.length, "unfinished change")}>
        Interrupted work that could be neither completed nor undone. The service tries again every few seconds; other
        work continues.
      </Alert>
      <Table
        aria-label={`Unfinished changes of ${host}`}
        variant="compact"
        gridBreakPoint="grid-lg"
        borders={false}
        className="sl-table"
      >
        <Thead>
          <Tr>
            <Th>Change</Th>
            <Th>Begun</Th>
            <Th modifier="nowrap">Attempts</Th>
            <Th>Reason</Th>
            <Th screenReaderText="Actions" />
          </Tr>
        </Thead>
        <Tbody>
          {changes.map((change) => (
            <Tr key={change.id} data-change={change.id}>
              <Td dataLabel="Change" modifier="breakWord">
                {titleOf(change)} <Objects change={change} />
              </Td>
              <Td dataLabel="Begun" modifier="nowrap">
                <Ago time={change.begun} />
              </Td>
              <Td dataLabel="Attempts">{change.attempts}</Td>
              <Td dataLabel="Reason" modifier="breakWord">
                {change.reason}
              </Td>
              <Td dataLabel="Actions">
                <Flex gap={{ default: "gapSm" }} flexWrap={{ default: "nowrap" }}>
                  <Button
                    variant="secondary"
                    size="sm"
                    isLoading={finish.isPending && finish.variables === change.id}
                    isDisabled={finish.isPending}
                    onClick={() =>
                      finish.mutate(change.id, {
                        onSuccess: () => toasts.success(`Finished: ${titleOf(change)}`),
                        onError: (error) => toasts.failure(`Couldn't finish: ${titleOf(change)}`, error),
                      })
                    }
                  >
                    Try again
                  </Button>
                  <Button variant="danger" size="sm" onClick={() => setDropped(change)}>
                    Drop
                  </Button>
                </Flex>
              </Td>
            </Tr>
          ))}
        </Tbody>
      </Table>
      {dropped && (
        <ConfirmDialog
          title={`Drop this change: ${titleOf(dropped)}?`}
          action="Drop change"
          pending={drop.isPending}
          error={drop.error}
          onConfirm={() =>
            drop.mutate(dropped.id, {
              onSuccess: () => setDropped(null),
            })
          }
          onClose={() => {
            drop.reset();
            setDropped(null);
          }}
        >
          SandboxLabs stops retrying. What the change has created on host {host} so far is kept, for example an unused
          disk or a node without its disk.
        </ConfirmDialog>
      )}
    </>
  );
}

function titleOf({ kind }: Change) {
  return kinds[kind] ?? kind;
}

function Objects({ change }: { change: Change }) {
  return change.objects.map(({ id, name }) => (
    <span key={id}>{name === undefined ? <code>{id}</code> : <Link to={paths.node(id)}>{name}</Link>} </span>
  ));
}
