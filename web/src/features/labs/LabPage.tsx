import {
  Button,
  DropdownItem,
  EmptyState,
  EmptyStateActions,
  EmptyStateBody,
  EmptyStateFooter,
  Flex,
  Label,
  Modal,
  ModalBody,
  ModalHeader,
  PageSection,
  Skeleton,
} from "@patternfly/react-core";
import EllipsisVIcon from "@patternfly/react-icons/dist/esm/icons/ellipsis-v-icon";
import PlayIcon from "@patternfly/react-icons/dist/esm/icons/play-icon";
import PlusIcon from "@patternfly/react-icons/dist/esm/icons/plus-icon";
import PowerOffIcon from "@patternfly/react-icons/dist/esm/icons/power-off-icon";
import SearchIcon from "@patternfly/react-icons/dist/esm/icons/search-icon";
import TopologyIcon from "@patternfly/react-icons/dist/esm/icons/topology-icon";
import { type ReactNode, lazy, useState } from "react";
import { Link } from "react-router";

import type { Image, Lab, LabNetwork, Node } from "../../shared/api/types";
import { paths } from "../../shared/paths";
import { SharingPanel } from "../../shared/sharing/SharingPanel";
import { ConfirmDialog } from "../../shared/ui/ConfirmDialog";
import { Later } from "../../shared/ui/Later";
import { LinkButton } from "../../shared/ui/LinkButton";
import { Menu } from "../../shared/ui/Menu";
import { PageHeader } from "../../shared/ui/PageHeader";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { useToasts } from "../../shared/ui/toasts";
import { type LabChange, useChangeLab } from "./api/changeLab";
import { useLab } from "./api/labs";
import { AddNodeDialog } from "./components/AddNodeDialog";
import { ConnectDialog } from "./components/ConnectDialog";
import { DeleteLabDialog } from "./components/DeleteLabDialog";
import { LabList } from "./components/LabList";
import { NameDialog } from "./components/NameDialog";
import { exportLab } from "./labFile";
import { freePlace, linksOf, nodesOf } from "./layout";
import { saveFile } from "./saveFile";
import { type MakeNode, useAddNode, useDeleteLab } from "./useLabWork";
import { usePositions } from "./usePositions";
import "./labs.css";

// As large as many pages together, so loaded on demand.
const LabCanvas = lazy(() => import("./components/LabCanvas"));

/** The node actions that a lab needs. */
export interface NodeWork {
  make: MakeNode;
  /** Starts or stops nodes, and shows which of them failed. */
  run: (nodes: readonly Node[]) => Promise<void>;
  stop: (nodes: readonly Node[]) => Promise<void>;
  remove: (node: Node) => Promise<unknown>;
}

interface LabPageProps {
  id: string;
  /** All known nodes. */
  nodes: readonly Node[];
  images: readonly Image[];
  work: NodeWork;
  /** Whether the user may list accounts and groups to share the lab with. */
  mayShare: boolean;
  stateOf: (node: Node) => ReactNode;
}

/** One lab: its canvas, with a list of the same contents next to it. */
export function LabPage({ id, ...props }: LabPageProps) {
  const lab = useLab(id);
  if (lab.data) {
    return <Drawn key={id} lab={lab.data} {...props} />;
  }
  if (lab.data === null) {
    return <Gone />;
  }
  return lab.isPending ? (
    <>
      <PageHeader title="Lab" />
      <PageSection isFilled aria-label="Lab">
        <Skeleton height="24rem" screenreaderText="Loading the lab" />
      </PageSection>
    </>
  ) : (
    <>
      <PageHeader title="Lab" />
      <PageSection isFilled aria-label="Lab">
        <ProblemAlert title="Couldn't load the lab" error={lab.error} onRetry={() => void lab.refetch()} />
        <p>
          <Link to={paths.labs}>View all labs</Link>
        </p>
      </PageSection>
    </>
  );
}

function Gone() {
  return (
    <PageSection isFilled aria-label="Lab">
      <EmptyState headingLevel="h1" icon={SearchIcon} titleText="Lab not found">
        <EmptyStateBody>It may have been deleted, or isn't shared with you.</EmptyStateBody>
        <EmptyStateFooter>
          <EmptyStateActions>
            <LinkButton variant="primary" to={paths.labs}>
              View all labs
            </LinkButton>
          </EmptyStateActions>
        </EmptyStateFooter>
      </EmptyState>
    </PageSection>
  );
}

type Dialog =
  | { kind: "add" }
  | { kind: "rename"; version: string }
  | { kind: "share" }
  | { kind: "delete" }
  | { kind: "connect"; node: Node }
  | { kind: "network"; network: LabNetwork };

function Drawn({ lab: known, nodes: all, images, work, mayShare, stateOf }: Omit<LabPageProps, "id"> & { lab: Lab }) {
  const toasts = useToasts();
  const { lab, move } = usePositions(known, (error) => toasts.failure("Couldn't save positions", error));
  const change = useChangeLab(lab.id);
  const addNode = useAddNode(lab, work.make);
  const remove = useDeleteLab(lab, work.remove);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [dialog, setDialog] = useState<Dialog | null>(null);
  const [busy, setBusy] = useState<"run" | "stop" | null>(null);
  const nodes = nodesOf(lab, all);
  const links = linksOf(lab, nodes);
  const editable = lab.access === "manage";
  const running = nodes.filter(({ state }) => state === "running");
  const stopped = nodes.filter(({ state }) => state === "stopped");

  const choose = (thing: string, isChosen: boolean) =>
    setChosen((before) => {
      const after = new Set(before);
      if (isChosen) {
        after.add(thing);
      } else {
        after.delete(thing);
      }
      return after;
    });
  const close = () => {
    change.reset();
    addNode.reset();
    remove.reset();
    setDialog(null);
  };
  /** For changes that are not made in a dialog. */
  const apply = (what: LabChange, failure: string) =>
    change.mutate(what, {
      onError: (error) => {
        toasts.failure(failure, error);
        change.reset();
      },
    });
  const takeOut = (node: Node) => apply({ do: "removeNode", node: node.id }, `Couldn't remove ${node.name}`);
  const unlink = (node: string, network: string) => apply({ do: "unlink", node, network }, "Couldn't remove the link");
  const removeChosen = (ids: readonly string[]) => {
    for (const thing of ids) {
      const node = nodes.find((other) => other.id === thing);
      const network = lab.networks.find((other) => other.id === thing);
      const link = links.find((other) => other.id === thing);
      if (node) {
        takeOut(node);
      } else if (network) {
        setDialog({ kind: "network", network });
      } else if (link) {
        unlink(link.node, link.network);
      }
    }
  };
  const perform = async (what: "run" | "stop") => {
    setBusy(what);
    await (what === "run" ? work.run(stopped) : work.stop(running));
    setBusy(null);
  };
  const addNetwork = (addresses: boolean) =>
    apply({ do: "addNetwork", at: freePlace(lab), addresses }, "Couldn't create the network");
  const save = () => {
    const { file, left } = exportLab(lab, nodes);
    saveFile(`${lab.name.replace(/[^\w.-]+/g, "-")}.lab.json`, JSON.stringify(file, null, 2));
    if (left.length > 0) {
      toasts.failure(
        "The export is incomplete",
        new Error(`Not exported, because they have no image: ${left.map(({ name }) => name).join(", ")}.`),
      );
    }
  };
  return (
    <>
      <PageHeader
        title={lab.name}
        description={
          <>
            <Link to={paths.labs}>Labs</Link>
            {lab.owner && ` · by ${lab.owner}`}
          </>
        }
        status={
          <Label variant="outline" data-lab-running={running.length}>
            {running.length} of {nodes.length} running
          </Label>
        }
        actions={
          <Flex columnGap={{ default: "columnGapSm" }} rowGap={{ default: "rowGapSm" }}>
            {editable && (
              <Menu label="Add to the lab" text="Add" icon={<PlusIcon />} variant="secondary">
                <DropdownItem onClick={() => setDialog({ kind: "add" })}>Node</DropdownItem>
                <DropdownItem onClick={() => addNetwork(true)}>Network with DHCP</DropdownItem>
                <DropdownItem onClick={() => addNetwork(false)}>Network without DHCP</DropdownItem>
              </Menu>
            )}
            <Button
              icon={<PlayIcon />}
              isDisabled={stopped.length === 0 || busy !== null}
              isLoading={busy === "run"}
              onClick={() => void perform("run")}
            >
              Start all
            </Button>
            <Button
              variant="secondary"
              icon={<PowerOffIcon />}
              isDisabled={running.length === 0 || busy !== null}
              isLoading={busy === "stop"}
              onClick={() => void perform("stop")}
            >
              Stop all
            </Button>
            <Menu label={`Actions for the lab ${lab.name}`} icon={<EllipsisVIcon />}>
              <DropdownItem onClick={save}>Export as a file</DropdownItem>
              {editable && mayShare && <DropdownItem onClick={() => setDialog({ kind: "share" })}>Share</DropdownItem>}
              {editable && (
                <DropdownItem onClick={() => setDialog({ kind: "rename", version: lab.version })}>Rename</DropdownItem>
              )}
              {editable && (
                <DropdownItem isDanger onClick={() => setDialog({ kind: "delete" })}>
                  Delete
                </DropdownItem>
              )}
            </Menu>
          </Flex>
        }
      />
      <PageSection isFilled aria-label={`Lab ${lab.name}`}>
        <div className="sl-lab">
          <div className="sl-lab__canvas">
            <Later what="the canvas">
              <LabCanvas
                lab={lab}
                nodes={nodes}
                links={links}
                chosen={chosen}
                editable={editable}
                onChoose={choose}
                onMove={move}
                onLink={(from, to) => apply({ do: "link", from, to }, "Couldn't connect")}
                onRemove={removeChosen}
              />
            </Later>
            {nodes.length + lab.networks.length === 0 && (
              <div className="sl-lab__empty">
                <EmptyState headingLevel="h2" icon={TopologyIcon} titleText="This lab is empty">
                  <EmptyStateBody>
                    {editable
                      ? "Add nodes, then drag from the dot on one to another."
                      : "Nodes that the owner adds appear here."}
                  </EmptyStateBody>
                  {editable && (
                    <EmptyStateFooter>
                      <EmptyStateActions>
                        <Button icon={<PlusIcon />} onClick={() => setDialog({ kind: "add" })}>
                          Add node
                        </Button>
                      </EmptyStateActions>
                    </EmptyStateFooter>
                  )}
                </EmptyState>
              </div>
            )}
          </div>
          <div className="sl-lab__list">
            <LabList
              lab={lab}
              nodes={nodes}
              links={links}
              chosen={chosen}
              editable={editable}
              stateOf={stateOf}
              onChoose={choose}
              onRun={(node) => void work.run([node])}
              onStop={(node) => void work.stop([node])}
              onConnect={(node) => setDialog({ kind: "connect", node })}
              onUnlink={(node, network) => unlink(node.id, network.id)}
              onTakeOut={takeOut}
              onDeleteNetwork={(network) => setDialog({ kind: "network", network })}
            />
          </div>
        </div>
      </PageSection>
      {dialog?.kind === "add" && (
        <AddNodeDialog
          images={images}
          nodes={all}
          free={all.filter(
            ({ id, managed, access }) => managed && access === "manage" && !nodes.some((node) => node.id === id),
          )}
          pending={addNode.isPending}
          error={addNode.error}
          onAdd={(what) => addNode.mutate(what, { onSuccess: close })}
          onClose={close}
        />
      )}
      {dialog?.kind === "connect" && (
        <ConnectDialog
          lab={lab}
          from={dialog.node}
          nodes={nodes}
          links={links}
          pending={change.isPending}
          error={change.error}
          onConnect={(to) => change.mutate({ do: "link", from: dialog.node.id, to }, { onSuccess: close })}
          onClose={close}
        />
      )}
      {dialog?.kind === "rename" && (
        <NameDialog
          title={`Rename ${lab.name}`}
          action="Rename"
          initial={lab.name}
          pending={change.isPending}
          error={change.error}
          onName={(name) => change.mutate({ do: "rename", name, version: dialog.version }, { onSuccess: close })}
          onClose={close}
        />
      )}
      {dialog?.kind === "share" && (
        <Modal isOpen variant="small" aria-labelledby="share-lab" onClose={close}>
          <ModalHeader
            title={`Share ${lab.name}`}
            description="Sharing a lab also shares its nodes."
            labelId="share-lab"
          />
          <ModalBody>
            <SharingPanel kind="labs" id={lab.id} means={{ view: "View only", use: "Use" }} />
          </ModalBody>
        </Modal>
      )}
      {dialog?.kind === "network" && (
        <ConfirmDialog
          title={`Delete the network ${dialog.network.name}?`}
          action="Delete"
          pending={change.isPending}
          error={change.error}
          onConfirm={() => change.mutate({ do: "deleteNetwork", network: dialog.network.id }, { onSuccess: close })}
          onClose={close}
        >
          Nodes will be disconnected immediately, even if running.
        </ConfirmDialog>
      )}
      {dialog?.kind === "delete" && (
        <DeleteLabDialog
          lab={lab}
          nodes={nodes}
          pending={remove.isPending}
          error={remove.error}
          onDelete={(withContents) => remove.mutate(withContents ? nodes : null)}
          onClose={close}
        />
      )}
    </>
  );
}
