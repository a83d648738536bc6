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
  run: "Run",
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
  makeImage: "Make image",
  adopt: "Adopt",
  wipe: "Wipe",
  delete: "Delete",
};

const hints: Partial<Record<NodeAction, string>> = {
  adopt: "Let SandboxLabs wipe and delete it",
  edit: "Size, tags, description",
  stop: "Ask the guest to shut down (ACPI)",
  reset: "Press the reset button",
  suspend: "Save the memory and turn the node off",
  discardSavedState: "Boot at the next start",
  forceOff: "Pull the plug",
  wipe: "Back to the image as it was",
};

const failures: Record<NodeAction, string> = {
  run: "does not run",
  stop: "was not asked to stop",
  reboot: "was not rebooted",
  pause: "was not paused",
  resume: "was not resumed",
  suspend: "was not suspended",
  discardSavedState: "keeps its saved state",
  reset: "was not reset",
  forceOff: "was not forced off",
  edit: "stays as it is",
  rename: "keeps its name",
  clone: "was not cloned",
  makeImage: "has no image made of it",
  adopt: "was not adopted",
  wipe: "was not wiped",
  delete: "was not deleted",
};

const menuOrder: readonly (readonly NodeAction[])[] = [
  ["stop", "reboot", "pause", "resume", "suspend"],
  ["edit", "rename", "clone", "makeImage", "adopt"],
  ["reset", "forceOff", "discardSavedState", "wipe", "delete"],
];

/** Whether a dialog of its own asks for what an action needs. */
function isAsked(action: NodeAction): action is Exclude<NodeAction, Lifecycle> {
  return action === "edit" || action === "rename" || action === "clone" || action === "makeImage" || action === "delete";
}

interface NodeActionsProps {
  node: Node;
  /** row: small buttons in a list; page: at the top of the node's own page, after which delete leads to the list. */
  place: "row" | "page";
}

/** All that can be done with a node now: the likely ones as buttons, the others in a menu. */
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
    // Promises, here and below: what is shown at once may take this component off
    // the page before the answer comes, and callbacks of mutate are not called then.
    lifecycle.mutateAsync(action).catch((error: unknown) => toasts.failure(`${node.name} ${failures[action]}`, error));
  };
  const confirmDelete = async () => {
    close();
    const deleted = remove.mutateAsync(node.snapshots > 0); // the dialog says so
    if (place === "page") {
      void navigate(paths.nodes);
    }
    try {
      await deleted;
      toasts.success(`${node.name} is deleted`);
    } catch (error) {
      toasts.failure(`${node.name} ${failures.delete}`, error);
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
          aria-label={`Run ${node.name}`}
          onClick={() => start("run")}
        >
          Run
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
          The node and all that was written to its disk are deleted for good
          {node.state === "stopped" ? "" : ", and its power is cut first"}. The image that it was made from stays.
          {node.savedState && " Its saved state is discarded."}
          {node.snapshots > 0 && ` Its snapshots (${node.snapshots}) are lost with it.`}
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

/** What is lost by an action. */
function lossOf(action: Lifecycle, node: Node): string {
  switch (action) {
    case "wipe":
      return `All that was written to its disk since it was created is lost: the node begins anew from its image.${
        node.state === "stopped" ? "" : " It is running: its power is cut first."
      }${node.savedState ? " Its saved state is discarded." : ""}`;
    case "discardSavedState":
      return "The memory that was saved is lost. The node boots at its next start, as after a power failure.";
    default:
      return "It stops at once, without shutting down: what the guest has not yet written to its disk is lost.";
  }
}

interface DestructiveLifecycleProps {
  node: Node;
  action: Lifecycle;
  lifecycle: ReturnType<typeof useLifecycle>;
  onClose: () => void;
}

/** Asks before a node loses what it holds in memory or on disk. */
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
              toasts.success(`${node.name} is as fresh as its image`);
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
