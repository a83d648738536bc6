import { Button, EmptyState, EmptyStateBody, FormSelect, FormSelectOption, Label, Title } from "@patternfly/react-core";
import HddIcon from "@patternfly/react-icons/dist/esm/icons/hdd-icon";
import PlusIcon from "@patternfly/react-icons/dist/esm/icons/plus-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useState } from "react";

import type { Disk, Image, Node } from "../../../shared/api/types";
import { formatBytes } from "../../../shared/format";
import { ConfirmDialog } from "../../../shared/ui/ConfirmDialog";
import { FormDialog } from "../../../shared/ui/FormDialog";
import { useToasts } from "../../../shared/ui/toasts";
import { useChangeDisks, useDisks } from "../api/disks";
import { ChainTree } from "../components/ChainTree";
import { NumberField } from "../../../shared/ui/Field";
import { ViewState } from "../components/ViewState";
import { gibibyte } from "../spec";

interface NodeDisksProps {
  node: Node;
  /** All images; ISO images can be inserted into an optical drive. */
  images: readonly Image[];
}

/** A node's disks and drives. Disks are added and removed, and media inserted and ejected, also while it runs. */
export default function NodeDisks({ node, images }: NodeDisksProps) {
  const disks = useDisks(node.id);
  const [isAdding, setAdding] = useState(false);
  const [detaching, setDetaching] = useState<Disk | null>(null);
  const mayChange = node.access === "manage" && node.managed;
  return (
    <section>
      <div className="sl-view__head">
        <Title headingLevel="h2" size="lg">
          Disks and drives
        </Title>
        {mayChange && (
          <Button variant="secondary" icon={<PlusIcon />} onClick={() => setAdding(true)}>
            Add disk
          </Button>
        )}
      </div>
      <ViewState what="the disks" query={disks} />
      {disks.data?.length === 0 && (
        <EmptyState variant="sm" headingLevel="h3" icon={HddIcon} titleText="No disks">
          <EmptyStateBody>This node has no disks or drives.</EmptyStateBody>
        </EmptyState>
      )}
      {disks.data && disks.data.length > 0 && (
        <div className="sl-scroll">
          <Table aria-label="Disks and drives" variant="compact" gridBreakPoint="grid-md" className="sl-table">
            <Thead>
              <Tr>
                <Th modifier="nowrap">Name</Th>
                <Th>Kind</Th>
                <Th>Size</Th>
                <Th>File</Th>
                <Th screenReaderText="Actions" />
              </Tr>
            </Thead>
            <Tbody>
              {disks.data.map((disk) => (
                <Tr key={disk.target} data-disk={disk.target}>
                  <Td dataLabel="Name" modifier="nowrap">
                    <b>{disk.target}</b> {disk.extra && <Label isCompact>extra</Label>}{" "}
                    {disk.readOnly && disk.device === "disk" && <Label isCompact>read-only</Label>}
                  </Td>
                  <Td dataLabel="Kind" modifier="nowrap">
                    {disk.device === "cdrom" ? "Optical drive" : disk.device === "floppy" ? "Floppy" : "Disk"}
                    <span className="sl-subtle"> on {disk.bus}</span>
                  </Td>
                  <Td dataLabel="Size" modifier="nowrap">
                    {disk.size > 0 ? formatBytes(disk.size) : "–"}
                  </Td>
                  <Td dataLabel="File" modifier="breakWord">
                    {disk.kind === "empty" ? (
                      <span className="sl-subtle">empty</span>
                    ) : (
                      <code>{disk.source || disk.kind}</code>
                    )}{" "}
                    {disk.kind !== "empty" && disk.device !== "cdrom" && (
                      <span className="sl-subtle">({disk.format})</span>
                    )}
                  </Td>
                  <Td isActionCell>
                    {mayChange && disk.extra && (
                      <Button
                        size="sm"
                        variant="secondary"
                        isDanger
                        aria-label={`Detach ${disk.target}`}
                        onClick={() => setDetaching(disk)}
                      >
                        Detach…
                      </Button>
                    )}
                  </Td>
                </Tr>
              ))}
            </Tbody>
          </Table>
        </div>
      )}
      {disks.data && disks.data.length > 0 && <ChainTree node={node} />}
      {mayChange && disks.data && <Media node={node} images={images} drive={disks.data.find(isDrive)} />}
      {isAdding && <AddDisk node={node} onClose={() => setAdding(false)} />}
      {detaching && <Detach node={node} disk={detaching} onClose={() => setDetaching(null)} />}
    </section>
  );
}

/** Whether a disk is the drive for media; cloud-init's seed is in a separate drive. */
function isDrive({ device, file }: Disk): boolean {
  return device === "cdrom" && !file.endsWith("-seed.iso");
}

/** The medium in the optical drive, with controls to insert and eject it. */
function Media({ node, images, drive }: NodeDisksProps & { drive: Disk | undefined }) {
  const change = useChangeDisks(node.id);
  const toasts = useToasts();
  const isos = images.filter(({ format, state, host }) => format === "iso" && state === "ready" && host === node.host);
  const [chosen, setChosen] = useState("");
  const inDrive = drive?.source ?? "";
  const put = (image: string) =>
    change.mutate(
      { do: "media", image },
      {
        onSuccess: () => toasts.success(image === "" ? "Disc ejected" : "Disc inserted"),
        onError: (error) => toasts.failure("Couldn't change the disc", error),
      },
    );
  const wanted = chosen || (isos[0]?.id ?? "");
  return (
    <div className="sl-view__further">
      <Title headingLevel="h2" size="lg">
        Optical drive
      </Title>
      <div className="sl-inline-form">
        <span>
          {inDrive === "" ? "Empty" : `Inserted: ${isos.find(({ path }) => path === inDrive)?.displayName || inDrive}`}
        </span>
        {isos.length > 0 && (
          <>
            <FormSelect aria-label="ISO image" value={wanted} onChange={(_event, id) => setChosen(id)}>
              {isos.map(({ id, displayName, name }) => (
                <FormSelectOption key={id} value={id} label={displayName || name} />
              ))}
            </FormSelect>
            <Button
              variant="secondary"
              isLoading={change.isPending}
              isDisabled={change.isPending}
              onClick={() => put(wanted)}
            >
              Insert
            </Button>
          </>
        )}
        {inDrive !== "" && (
          <Button variant="secondary" isDisabled={change.isPending} onClick={() => put("")}>
            Eject
          </Button>
        )}
        {isos.length === 0 && <span className="sl-subtle">Upload an ISO image first.</span>}
      </div>
    </div>
  );
}

function AddDisk({ node, onClose }: { node: Node; onClose: () => void }) {
  const [size, setSize] = useState("1");
  const change = useChangeDisks(node.id);
  const toasts = useToasts();
  const bytes = Math.round(Number(size) * gibibyte);
  const problem = Number.isFinite(bytes) && bytes > 0 ? "" : "Enter a number of GiB.";
  return (
    <FormDialog
      title={`Add disk to ${node.name}`}
      description="An empty disk. It takes up space on the host only as the guest writes to it."
      action="Add disk"
      failure="Couldn't add the disk"
      focus="#new-disk"
      isReady={problem === ""}
      pending={change.isPending}
      error={change.error}
      onSubmit={() =>
        change.mutate(
          { do: "add", size: bytes },
          {
            onSuccess: () => {
              toasts.success("Disk added");
              onClose();
            },
          },
        )
      }
      onClose={onClose}
    >
      <NumberField
        id="new-disk"
        label="Size"
        unit="GiB"
        value={size}
        min={0}
        isFraction
        problem={problem}
        onChange={setSize}
      />
    </FormDialog>
  );
}

function Detach({ node, disk, onClose }: { node: Node; disk: Disk; onClose: () => void }) {
  const change = useChangeDisks(node.id);
  const toasts = useToasts();
  return (
    <ConfirmDialog
      title={`Detach ${disk.target} from ${node.name}?`}
      action="Detach and delete"
      typedName={disk.target}
      pending={change.isPending}
      error={change.error}
      onConfirm={() =>
        change.mutate(
          { do: "detach", target: disk.target },
          {
            onSuccess: () => {
              toasts.success(`Deleted ${disk.target}`);
              onClose();
            },
          },
        )
      }
      onClose={onClose}
    >
      This permanently deletes the disk ({formatBytes(disk.size)}). Unmount it in the guest first.
    </ConfirmDialog>
  );
}
