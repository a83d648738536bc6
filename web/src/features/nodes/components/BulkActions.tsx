import { Button, List, ListItem } from "@patternfly/react-core";
import PlayIcon from "@patternfly/react-icons/dist/esm/icons/play-icon";
import PowerOffIcon from "@patternfly/react-icons/dist/esm/icons/power-off-icon";
import TrashIcon from "@patternfly/react-icons/dist/esm/icons/trash-icon";
import { useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";

import { messageOf } from "../../../shared/api/problem";
import type { Node } from "../../../shared/api/types";
import { plural } from "../../../shared/format";
import { ConfirmDialog } from "../../../shared/ui/ConfirmDialog";
import { useToasts } from "../../../shared/ui/toasts";
import { changeNode } from "../api/changes";
import { deletion } from "../api/deleteNode";
import { nodesKey } from "../api/keys";
import { lifecycleChange } from "../api/lifecycle";
import { type BulkAction, type Outcome, each, targetsOf } from "../bulk";
import type { Selection } from "../useSelection";

const texts: Record<BulkAction, { verb: string; done: string; icon?: ReactNode }> = {
  run: { verb: "Start", done: "Started", icon: <PlayIcon /> },
  stop: { verb: "Stop", done: "Stopping", icon: <PowerOffIcon /> },
  forceOff: { verb: "Force off", done: "Powered off" },
  delete: { verb: "Delete", done: "Deleted", icon: <TrashIcon /> },
};
const named = 12;

/** The actions for the selected nodes; nothing while none is selected. */
export function BulkActions({ selection }: { selection: Selection }) {
  const queries = useQueryClient();
  const toasts = useToasts();
  const [asked, setAsked] = useState<BulkAction | null>(null);
  const [busy, setBusy] = useState<BulkAction | null>(null);
  const { nodes } = selection;
  if (nodes.length === 0) {
    return null;
  }

  const perform = async (action: BulkAction) => {
    const targets = targetsOf(action, nodes);
    setBusy(action);
    const outcomes = await each(targets, (node) =>
      action === "delete"
        ? changeNode(queries, node.id, deletion, node.snapshots > 0)
        : changeNode(queries, node.id, lifecycleChange, action),
    );
    setBusy(null);
    setAsked(null);
    const good = outcomes.filter(({ error }) => error === undefined);
    const bad = outcomes.filter(({ error }) => error !== undefined);
    if (good.length > 0) {
      toasts.success(`${texts[action].done} ${plural(good.length, "node")}`);
    }
    if (bad.length > 0) {
      toasts.failure(
        `Couldn't ${texts[action].verb.toLowerCase()} ${plural(bad.length, "node")}`,
        new Error(reasons(bad)),
      );
    }
    selection.set(
      good.map(({ node }) => node),
      false,
    );
    await queries.invalidateQueries({ queryKey: nodesKey });
  };
  const button = (action: BulkAction, start: () => void) => {
    const count = targetsOf(action, nodes).length;
    const { verb, icon } = texts[action];
    return (
      <Button
        size="sm"
        variant={action === "delete" ? "danger" : "secondary"}
        icon={icon}
        isDisabled={count === 0 || busy !== null}
        isLoading={busy === action}
        aria-label={`${verb} ${plural(count, "node")}`}
        onClick={start}
      >
        {verb} {count}
      </Button>
    );
  };
  return (
    <div className="sl-bulk" role="toolbar" aria-label="Selected nodes">
      <b role="status">{nodes.length} selected</b>
      {button("run", () => void perform("run"))}
      {button("stop", () => void perform("stop"))}
      {button("forceOff", () => setAsked("forceOff"))}
      {button("delete", () => setAsked("delete"))}
      <Button size="sm" variant="link" onClick={selection.clear}>
        Clear selection
      </Button>
      {(asked === "forceOff" || asked === "delete") && (
        <BulkConfirm
          action={asked}
          targets={targetsOf(asked, nodes)}
          pending={busy !== null}
          onConfirm={() => void perform(asked)}
          onClose={() => setAsked(null)}
        />
      )}
    </div>
  );
}

/** Lists the reasons of failures, each with its nodes. */
function reasons(failures: readonly Outcome[]): string {
  const names = new Map<string, string[]>();
  for (const { node, error } of failures) {
    const reason = messageOf(error);
    names.set(reason, [...(names.get(reason) ?? []), node.name]);
  }
  return [...names].map(([reason, of]) => `${of.join(", ")}: ${reason}`).join(" ");
}

interface BulkConfirmProps {
  action: "forceOff" | "delete";
  targets: readonly Node[];
  pending: boolean;
  onConfirm: () => void;
  onClose: () => void;
}

/** Asks for confirmation before several nodes lose data, and lists what will be lost. */
function BulkConfirm({ action, targets, pending, onConfirm, onClose }: BulkConfirmProps) {
  const nodes = plural(targets.length, "node");
  const running = targets.filter(({ state }) => state !== "stopped").length;
  const saved = targets.filter(({ savedState }) => savedState).length;
  const snapshots = targets.reduce((sum, node) => sum + node.snapshots, 0);
  const only = targets.length === 1 ? targets[0]?.name : undefined;
  return (
    <ConfirmDialog
      title={`${texts[action].verb} ${nodes}?`}
      action={`${texts[action].verb} ${nodes}`}
      {...(action === "delete" ? { typedName: only ?? nodes } : {})}
      pending={pending}
      error={null}
      onConfirm={onConfirm}
      onClose={onClose}
    >
      {action === "forceOff"
        ? "Powers off immediately. Unsaved data in the guests will be lost."
        : `This permanently deletes the nodes and their disks.${
            running > 0
              ? ` ${running} of them ${running === 1 ? "is" : "are"} running and will be powered off first.`
              : ""
          }${saved > 0 ? ` ${plural(saved, "saved state")} will be discarded.` : ""}${
            snapshots > 0 ? ` ${plural(snapshots, "snapshot")} will be deleted.` : ""
          } The images are kept.`}
      <List isPlain className="sl-bulk__names">
        {targets.slice(0, named).map(({ host, id, name }) => (
          <ListItem key={`${host}/${id}`}>{name}</ListItem>
        ))}
        {targets.length > named && <ListItem>and {targets.length - named} more</ListItem>}
      </List>
    </ConfirmDialog>
  );
}
