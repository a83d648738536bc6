import { FormGroup, FormSelect, FormSelectOption, Grid, GridItem, Radio } from "@patternfly/react-core";
import { useId, useState } from "react";

import type { Image, Node, NodeSpec } from "../../../shared/api/types";
import { formatRAM, plural } from "../../../shared/format";
import { freeName } from "../../../shared/freeName";
import { FormDialog } from "../../../shared/ui/FormDialog";
import { NameField } from "../../../shared/ui/NameField";

/** What is added to the lab: a new node or an existing one. */
export type NewInLab = { spec: NodeSpec } | { node: string };

/** Size presets; RAM in MiB. */
const sizes = [
  { ram: 128, cpus: 1 },
  { ram: 256, cpus: 1 },
  { ram: 512, cpus: 1 },
  { ram: 1024, cpus: 1 },
  { ram: 2048, cpus: 2 },
  { ram: 4096, cpus: 4 },
] as const;
const firstSize = 1;
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

interface AddNodeDialogProps {
  images: readonly Image[];
  /** All nodes; their names are taken. */
  nodes: readonly Node[];
  /** The nodes that can be added to the lab. */
  free: readonly Node[];
  pending: boolean;
  error: unknown;
  onAdd: (what: NewInLab) => void;
  onClose: () => void;
}

/** Asks for a node to add to a lab. */
export function AddNodeDialog({ images, nodes, free, pending, error, onAdd, onClose }: AddNodeDialogProps) {
  const formID = useId();
  const ready = images.filter(({ state }) => state === "ready");
  const taken = nodes.map(({ name }) => name);
  const [isNew, setNew] = useState(ready.length > 0);
  const [imageID, setImage] = useState(ready[0]?.id ?? "");
  const [typed, setTyped] = useState<string | null>(null);
  const [size, setSize] = useState(firstSize);
  const [node, setNode] = useState(free[0]?.id ?? "");
  const image = ready.find(({ id }) => id === imageID);
  const name = typed ?? freeName(`${stemOf(imageID)}-1`, taken);
  const problem = !namePattern.test(name)
    ? "Use letters, digits, ., - and _; at most 63. Start with a letter or digit."
    : taken.includes(name)
      ? `The name ${name} is taken.`
      : "";
  const isReady = isNew ? image !== undefined && problem === "" : node !== "";
  const submit = () => {
    const { ram, cpus } = sizes[size] ?? sizes[firstSize];
    onAdd(isNew ? { spec: { name, image: imageID, resources: { ram, cpus } } } : { node });
  };
  return (
    <FormDialog
      title="Add node"
      action="Add"
      failure="Couldn't add the node"
      isReady={isReady}
      pending={pending}
      error={error}
      onSubmit={submit}
      onClose={onClose}
    >
      <FormGroup role="radiogroup" isInline label="Node" fieldId={`${formID}-which`}>
        <Radio
          id={`${formID}-new`}
          name={`${formID}-which`}
          label="New"
          isChecked={isNew}
          onChange={() => setNew(true)}
        />
        <Radio
          id={`${formID}-old`}
          name={`${formID}-which`}
          label={free.length > 0 ? "Existing" : "Existing (none available)"}
          isChecked={!isNew}
          isDisabled={free.length === 0}
          onChange={() => setNew(false)}
        />
      </FormGroup>
      {isNew ? (
        <>
          <FormGroup label="Image" fieldId={`${formID}-image`} isRequired>
            <FormSelect id={`${formID}-image`} value={imageID} onChange={(_event, value) => setImage(value)}>
              {ready.length === 0 && <FormSelectOption value="" label="No images yet. Upload one first." isDisabled />}
              {ready.map(({ id, displayName }) => (
                <FormSelectOption key={id} value={id} label={displayName || id} />
              ))}
            </FormSelect>
          </FormGroup>
          <Grid hasGutter sm={6}>
            <GridItem>
              <NameField id={`${formID}-name`} value={name} problem={problem} onChange={setTyped} />
            </GridItem>
            <GridItem>
              <FormGroup label="Size" fieldId={`${formID}-size`}>
                <FormSelect
                  id={`${formID}-size`}
                  value={String(size)}
                  onChange={(_event, value) => setSize(Number(value))}
                >
                  {sizes.map(({ ram, cpus }, i) => (
                    <FormSelectOption key={ram} value={String(i)} label={`${formatRAM(ram)}, ${plural(cpus, "CPU")}`} />
                  ))}
                </FormSelect>
              </FormGroup>
            </GridItem>
          </Grid>
        </>
      ) : (
        <FormGroup label="Node" fieldId={`${formID}-node`}>
          <FormSelect id={`${formID}-node`} value={node} onChange={(_event, value) => setNode(value)}>
            {free.map(({ id, name: its, host }) => (
              <FormSelectOption key={id} value={id} label={`${its} (${host})`} />
            ))}
          </FormSelect>
        </FormGroup>
      )}
    </FormDialog>
  );
}

function stemOf(imageID: string): string {
  return (
    imageID
      .replace(/_\d{10,}(?=\.|$)/, "")
      .replace(/\.(qcow2|img|raw|iso)$/i, "")
      .replace(/[^A-Za-z0-9._-]+/g, "-")
      .slice(0, 50) || "node"
  );
}
