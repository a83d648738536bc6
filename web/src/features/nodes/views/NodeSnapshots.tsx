import { Button, EmptyState, EmptyStateBody, Label, TextArea, TextInput, Title } from "@patternfly/react-core";
import CameraIcon from "@patternfly/react-icons/dist/esm/icons/camera-icon";
import { useState } from "react";

import type { Node, Snapshot } from "../../../shared/api/types";
import { Ago } from "../../../shared/ui/Ago";
import { ConfirmDialog } from "../../../shared/ui/ConfirmDialog";
import { FormDialog } from "../../../shared/ui/FormDialog";
import { useToasts } from "../../../shared/ui/toasts";
import { useChangeSnapshots, useSnapshots } from "../api/snapshots";
import { Field } from "../../../shared/ui/Field";
import { ViewState } from "../components/ViewState";
import { type Branch, snapshotNameProblem, treeOf } from "../snapshotTree";
import { isActive } from "../state";

/** A node's snapshots as a tree, with actions to take, revert to and delete snapshots. */
export default function NodeSnapshots({ node }: { node: Node }) {
  const snapshots = useSnapshots(node.id);
  const [isTaking, setTaking] = useState(false);
  const mayChange = node.access === "manage" && node.managed;
  return (
    <section>
      <div className="sl-view__head">
        <Title headingLevel="h2" size="lg">
          Snapshots
        </Title>
        {mayChange && (
          <Button variant="secondary" icon={<CameraIcon />} onClick={() => setTaking(true)}>
            Take snapshot
          </Button>
        )}
      </div>
      <ViewState what="the snapshots" query={snapshots} />
      {snapshots.data?.length === 0 && (
        <EmptyState variant="sm" headingLevel="h3" icon={CameraIcon} titleText="No snapshots yet">
          <EmptyStateBody>
            A snapshot saves the node's disks (and memory, if running) so you can return to it.
          </EmptyStateBody>
        </EmptyState>
      )}
      {snapshots.data && snapshots.data.length > 0 && (
        <ul className="sl-tree" aria-label="Snapshots">
          {treeOf(snapshots.data).map((branch) => (
            <SnapshotBranch key={branch.snapshot.name} node={node} branch={branch} mayChange={mayChange} />
          ))}
        </ul>
      )}
      {isTaking && (
        <TakeDialog
          node={node}
          taken={(snapshots.data ?? []).map(({ name }) => name)}
          onClose={() => setTaking(false)}
        />
      )}
    </section>
  );
}

interface SnapshotBranchProps {
  node: Node;
  branch: Branch;
  mayChange: boolean;
}

function SnapshotBranch({ node, branch: { snapshot, children }, mayChange }: SnapshotBranchProps) {
  const [asked, setAsked] = useState<"revert" | "delete" | null>(null);
  const { name, description, created, state, memory, kind, current, locked } = snapshot;
  return (
    <li data-snapshot={name}>
      <div className="sl-tree__item" data-current={current || undefined}>
        <div className="sl-tree__what">
          <b>{name}</b> {memory && <Label isCompact>with memory</Label>}{" "}
          {kind === "external" && (
            <Label isCompact variant="outline">
              external
            </Label>
          )}{" "}
          {current && (
            <Label isCompact color="blue">
              current
            </Label>
          )}
          <div className="sl-subtle">
            <Ago time={created} />, {state}
            {description && ` · ${description}`}
          </div>
          {locked && <div className="sl-subtle">{locked}</div>}
        </div>
        {mayChange && (
          <div className="sl-tree__actions">
            <Button
              size="sm"
              variant="secondary"
              isDisabled={locked !== undefined}
              aria-label={`Revert to ${name}`}
              onClick={() => setAsked("revert")}
            >
              Revert…
            </Button>
            <Button
              size="sm"
              variant="secondary"
              isDanger
              aria-label={`Delete ${name}`}
              onClick={() => setAsked("delete")}
            >
              Delete…
            </Button>
          </div>
        )}
      </div>
      {children.length > 0 && (
        <ul>
          {children.map((child) => (
            <SnapshotBranch key={child.snapshot.name} node={node} branch={child} mayChange={mayChange} />
          ))}
        </ul>
      )}
      {asked && <SnapshotConfirm node={node} snapshot={snapshot} action={asked} onClose={() => setAsked(null)} />}
    </li>
  );
}

interface SnapshotConfirmProps {
  node: Node;
  snapshot: Snapshot;
  action: "revert" | "delete";
  onClose: () => void;
}

/** Asks for confirmation before a snapshot is reverted to or deleted. */
function SnapshotConfirm({ node, snapshot: { name, memory }, action, onClose }: SnapshotConfirmProps) {
  const change = useChangeSnapshots(node.id);
  const toasts = useToasts();
  const running = isActive(node);
  const confirm = async () => {
    try {
      await change.mutateAsync(
        action === "revert" ? { do: "revert", name, force: running || node.savedState } : { do: "delete", name },
      );
    } catch {
      return; // the dialog shows why
    }
    toasts.success(action === "revert" ? `Reverted to ${name}` : `Deleted snapshot ${name}`);
    onClose();
  };
  return (
    <ConfirmDialog
      title={action === "revert" ? `Revert ${node.name} to "${name}"?` : `Delete snapshot ${name}?`}
      action={action === "revert" ? "Revert" : "Delete"}
      typedName={name}
      pending={change.isPending}
      error={change.error}
      onConfirm={() => void confirm()}
      onClose={onClose}
    >
      {action === "revert"
        ? `Changes since then will be lost${memory ? "" : ", and the memory isn't part of this snapshot"}. ${
            running
              ? "The running node will be powered off first. "
              : node.savedState
                ? "Its saved state is discarded. "
                : ""
          }Take a snapshot first to keep them.`
        : "You won't be able to revert to this snapshot. The node and other snapshots aren't affected."}
    </ConfirmDialog>
  );
}

function TakeDialog({ node, taken, onClose }: { node: Node; taken: readonly string[]; onClose: () => void }) {
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const change = useChangeSnapshots(node.id);
  const toasts = useToasts();
  const problem = snapshotNameProblem(name, taken);
  const running = isActive(node);
  const take = async () => {
    try {
      await change.mutateAsync({ do: "take", name, description });
    } catch {
      return; // the dialog shows why
    }
    toasts.success("Snapshot taken");
    onClose();
  };
  return (
    <FormDialog
      title={`Take snapshot of ${node.name}`}
      description={
        running ? "Saves disks and memory. The guest is paused while the snapshot is taken." : "Saves the disks."
      }
      action="Take snapshot"
      failure="Couldn't take the snapshot"
      focus="#snapshot-name"
      isReady={problem === ""}
      pending={change.isPending}
      error={change.error}
      onSubmit={() => void take()}
      onClose={onClose}
    >
      <Field id="snapshot-name" label="Name" problem={problem} help="Leave empty to use the date and time.">
        <TextInput
          id="snapshot-name"
          value={name}
          onChange={(_event, value) => setName(value)}
          validated={problem === "" ? "default" : "error"}
          aria-describedby="snapshot-name-help"
          autoComplete="off"
          autoCapitalize="off"
          spellCheck={false}
        />
      </Field>
      <Field id="snapshot-description" label="Description" problem="">
        <TextArea
          id="snapshot-description"
          value={description}
          onChange={(_event, value) => setDescription(value)}
          aria-describedby="snapshot-description-help"
          rows={2}
          resizeOrientation="vertical"
        />
      </Field>
    </FormDialog>
  );
}
