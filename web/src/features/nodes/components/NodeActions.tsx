import { Button, Divider, DropdownItem, Flex } from "@patternfly/react-core";
import EllipsisVIcon from "@patternfly/react-icons/dist/esm/icons/ellipsis-v-icon";
import PlayIcon from "@patternfly/react-icons/dist/esm/icons/play-icon";
import PowerOffIcon from "@patternfly/react-icons/dist/esm/icons/power-off-icon";
import TerminalIcon from "@patternfly/react-icons/dist/esm/icons/terminal-icon";
import { type ReactNode, useState } from "react";
import { useNavigate } from "react-router";

import type { Node } from "../../../shared/api/types";
import { paths } from "../../../shared/paths";
import { ConfirmDialog } from "../../../shared/ui/ConfirmDialog";
import { LinkButton } from "../../../shared/ui/LinkButton";
import { Menu } from "../../../shared/ui/Menu";
import { useToasts } from "../../../shared/ui/toasts";
import { type NodeAction, isDestructive, isOffered } from "../actions";
import { useDeleteNode } from "../api/deleteNode";
import { type Lifecycle, useLifecycle } from "../api/lifecycle";
import { CloneDialog } from "./CloneDialog";
import { EditDialog } from "./EditDialog";
import { MakeImageDialog } from "./MakeImageDialog";
import { RenameDialog } from "./RenameDialog";

const labels: Record<NodeAction, string> = {
  run: "Start",
  stop: "Stop",
  reboot: "Reboot",
  pause: "Pause",
  resume: "Resume",
  suspend: "Suspend to disk",
  discardSavedState: "Discard saved state",
  reset: "Reset",
  forceOff: "Force off",
  edit: "Edit",
  rename: "Rename",
  clone: "Clone",
  makeImage: "Create image",
  adopt: "Adopt",
  wipe: "Wipe",
  delete: "Delete",
};

const hints: Partial<Record<NodeAction, string>> = {
  adopt: "Manage this node in SandboxLabs",
  edit: "Size, tags, description",
  stop: "Ask the guest to shut down (ACPI)",
  reset: "Hard reset",
  suspend: "Save the memory and stop the node",
  discardSavedState: "Boot normally at next start",
  forceOff: "Power off immediately",
  wipe: "Restore the original image",
};

const menuOrder: readonly (readonly NodeAction[])[] = [
  ["stop", "reboot", "pause", "resume", "suspend"],
  ["edit", "rename", "clone", "makeImage", "adopt"],
  ["reset", "forceOff", "discardSavedState", "wipe", "delete"],
];

/** Whether an action has its own dialog. */
function isAsked(action: NodeAction): action is Exclude<NodeAction, Lifecycle> {
  return (
    action === "edit" || action === "rename" || action === "clone" || action === "makeImage" || action === "delete"
  );
}

interface NodeActionsProps {
  node: Node;
  /** row: small buttons in a list; page: at the top of the node's page, where deleting leads back to the list. */
  place: "row" | "page";
}

/** The available actions of a node: the main ones as buttons, the others in a menu. */
export function NodeActions({ node, place }: NodeActionsProps) {
  const [asked, setAsked] = useState<NodeAction | null>(null);
  const lifecycle = useLifecycle(node.id);
  const remove = useDeleteNode(node.id);
  const toasts = useToasts();
  const navigate = useNavigate();

  const close = () => {
    setAsked(null);
    lifecycle.reset();
    remove.reset();
  };
  const start = (action: NodeAction) => {
    if (isAsked(action) || isDestructive(action)) {
      setAsked(action);
      return;
    }
    // Promises, here and below: the optimistic update may unmount this component before
    // the response arrives, and callbacks of mutate are not called then.
    lifecycle
      .mutateAsync(action)
      .catch((error: unknown) => toasts.failure(`Couldn't ${action === "run" ? "start" : action} ${node.name}`, error));
  };
  const confirmDelete = async () => {
    close();
    const deleted = remove.mutateAsync(node.snapshots > 0); // the dialog says so
    if (place === "page") {
      void navigate(paths.nodes);
    }
    try {
      await deleted;
      toasts.success(`Deleted ${node.name}`);
    } catch (error) {
      toasts.failure(`Couldn't delete ${node.name}`, error);
    }
  };

  const inRow = place === "row";
  const size = inRow ? "sm" : "default";
  const busy = lifecycle.isPending ? lifecycle.variables : null;
  const shownAsButton: NodeAction[] = ["run", ...(inRow ? [] : (["stop"] as const))];
  const items = menuItems(node, shownAsButton, start);
  return (
    <Flex
      columnGap={{ default: "columnGapSm" }}
      flexWrap={{ default: "nowrap" }}
      alignItems={{ default: "alignItemsCenter" }}
      className={inRow ? "sl-row-actions" : ""}
    >
      {isOffered("run", node) && (
        <Button
          size={size}
          variant={inRow ? "secondary" : "primary"}
          icon={<PlayIcon />}
          isLoading={busy === "run"}
          isDisabled={busy !== null}
          aria-label={`Start ${node.name}`}
          onClick={() => start("run")}
        >
          Start
        </Button>
      )}
      {!inRow && isOffered("stop", node) && (
        <Button
          variant="secondary"
          icon={<PowerOffIcon />}
          isLoading={busy === "stop"}
          isDisabled={busy !== null}
          aria-label={`Stop ${node.name}`}
          onClick={() => start("stop")}
        >
          Stop
        </Button>
      )}
      {inRow && node.state !== "stopped" && node.console.available && (
        <LinkButton
          size={size}
          variant="secondary"
          icon={<TerminalIcon />}
          to={paths.console(node.id)}
          aria-label={`Console of ${node.name}`}
        >
          Console
        </LinkButton>
      )}
      {items.length > 0 && (
        <Menu label={`Actions for ${node.name}`} icon={<EllipsisVIcon />}>
          {inRow && node.state === "stopped" && (
            <DropdownItem key="console" onClick={() => void navigate(paths.console(node.id))}>
              Open console
            </DropdownItem>
          )}
          {node.guacamole && (
            <DropdownItem
              key="guacamole"
              to={paths.guacamole(node.id)}
              target="_blank"
              rel="noopener"
              description="The screen, in a new tab"
            >
              Open in Guacamole
            </DropdownItem>
          )}
          {node.guacamole && <Divider key="after-guacamole" component="li" />}
          {items}
        </Menu>
      )}
      {asked === "edit" && <EditDialog node={node} onClose={close} />}
      {asked === "clone" && <CloneDialog node={node} onClose={close} />}
      {asked === "makeImage" && <MakeImageDialog node={node} onClose={close} />}
      {asked === "rename" && <RenameDialog node={node} onClose={close} />}
      {asked === "delete" && (
        <ConfirmDialog
          title={`Delete ${node.name}?`}
          action="Delete"
          typedName={node.name}
          pending={false}
          error={null}
          onConfirm={() => void confirmDelete()}
          onClose={close}
        >
          This permanently deletes the node and its disk.
          {node.state === "stopped" ? "" : " It will be powered off first."}
          {node.savedState && " Its saved state is discarded."}
          {node.snapshots > 0 && ` Its snapshots (${node.snapshots}) are deleted too.`} The image is kept.
        </ConfirmDialog>
      )}
      {asked !== null && !isAsked(asked) && (
        <DestructiveLifecycle node={node} action={asked} lifecycle={lifecycle} onClose={close} />
      )}
    </Flex>
  );
}

function menuItems(node: Node, without: readonly NodeAction[], start: (action: NodeAction) => void): ReactNode[] {
  const groups = menuOrder
    .map((group) => group.filter((action) => isOffered(action, node) && !without.includes(action)))
    .filter((group) => group.length > 0);
  return groups.flatMap((group, index) => [
    ...(index === 0 ? [] : [<Divider key={`before-${group[0] ?? ""}`} component="li" />]),
    ...group.map((action) => (
      <DropdownItem
        key={action}
        isDanger={action === "delete"}
        description={hints[action]}
        onClick={() => start(action)}
      >
        {labels[action]}
        {isAsked(action) || isDestructive(action) ? "…" : ""}
      </DropdownItem>
    )),
  ]);
}

/** Describes what an action loses. */
function lossOf(action: Lifecycle, node: Node): string {
  switch (action) {
    case "wipe":
      return `Everything written to the disk will be erased.${
        node.state === "stopped" ? "" : " The running node will be powered off first."
      }${node.savedState ? " Its saved state is discarded." : ""}`;
    case "discardSavedState":
      return "The saved memory will be lost. The node boots at its next start, as after a power failure.";
    default:
      return action === "reset"
        ? "Restarts immediately. Unsaved data in the guest will be lost."
        : "Powers off immediately. Unsaved data in the guest will be lost.";
  }
}

interface DestructiveLifecycleProps {
  node: Node;
  action: Lifecycle;
  lifecycle: ReturnType<typeof useLifecycle>;
  onClose: () => void;
}

/** Asks for confirmation before a node loses data in memory or on disk. */
function DestructiveLifecycle({ node, action, lifecycle, onClose }: DestructiveLifecycleProps) {
  const toasts = useToasts();
  return (
    <ConfirmDialog
      title={`${labels[action]} ${node.name}?`}
      action={labels[action]}
      {...(action === "wipe" ? { typedName: node.name } : {})}
      pending={lifecycle.isPending}
      error={lifecycle.error}
      onConfirm={() =>
        lifecycle.mutate(action, {
          onSuccess: () => {
            onClose();
            if (action === "wipe") {
              toasts.success(`${node.name} was wiped`);
            }
          },
        })
      }
      onClose={onClose}
    >
      {lossOf(action, node)}
    </ConfirmDialog>
  );
}
