import { Grid, GridItem, Switch, TextArea, TextInput } from "@patternfly/react-core";
import { useId, useState } from "react";

import { RequestError } from "../../../shared/api/problem";
import type { Node } from "../../../shared/api/types";
import { FormDialog } from "../../../shared/ui/FormDialog";
import { useToasts } from "../../../shared/ui/toasts";
import { useEditNode } from "../api/editNode";
import { type EditDraft, draftOf, editOf, editProblems, whenResized } from "../edit";
import { isActive } from "../state";
import { leastRAM } from "../spec";
import { Field, NumberField } from "../../../shared/ui/Field";

/** Edits a node's size, tags, description and autostart. */
export function EditDialog({ node, onClose }: { node: Node; onClose: () => void }) {
  const id = useId();
  // The node when the dialog opened: changes of other users in the meantime are not overwritten.
  const [before] = useState(node);
  const [draft, setDraft] = useState(() => draftOf(node));
  const edit = useEditNode(node);
  const toasts = useToasts();
  const own = editProblems(draft, before);
  const told = edit.error instanceof RequestError ? edit.error.fields : {};
  const change = editOf(draft, before);
  const set = (part: Partial<EditDraft>) => {
    edit.reset();
    setDraft((previous) => ({ ...previous, ...part }));
  };
  const submit = () =>
    edit.mutate(change, {
      onSuccess: (changed) => {
        toasts.success(whenResized(changed) || `Saved changes to ${changed.name}`);
        onClose();
      },
    });
  return (
    <FormDialog
      title={`Edit ${node.name}`}
      description={
        isActive(node)
          ? "RAM and disk change immediately if the guest supports it, otherwise at next start. CPUs change at next start."
          : undefined
      }
      action="Save"
      failure="Couldn't save changes"
      variant="medium"
      focus={`[id="${id}-ram"]`}
      isReady={Object.values(own).every((problem) => problem === "") && Object.keys(change).length > 0}
      pending={edit.isPending}
      error={edit.error}
      onSubmit={submit}
      onClose={onClose}
    >
      <Grid hasGutter sm={4}>
        <GridItem>
          <NumberField
            id={`${id}-ram`}
            label="RAM"
            unit="MiB"
            value={draft.ram}
            min={leastRAM}
            problem={own.ram || (told["resources.ram"] ?? "")}
            onChange={(ram) => set({ ram })}
          />
        </GridItem>
        <GridItem>
          <NumberField
            id={`${id}-cpus`}
            label="CPUs"
            value={draft.cpus}
            min={1}
            problem={own.cpus || (told["resources.cpus"] ?? "")}
            onChange={(cpus) => set({ cpus })}
          />
        </GridItem>
        <GridItem>
          <NumberField
            id={`${id}-disk`}
            label="Disk"
            unit="GiB"
            value={draft.disk}
            min={0}
            isFraction
            help="Can't be reduced"
            problem={own.disk || (told["resources.disk"] ?? "")}
            onChange={(disk) => set({ disk })}
          />
        </GridItem>
      </Grid>
      <Field id={`${id}-tags`} label="Tags" problem={own.tags || (told.tags ?? "")} help="Separate with commas.">
        <TextInput
          id={`${id}-tags`}
          value={draft.tags}
          placeholder="web, course-1"
          onChange={(_event, tags) => set({ tags })}
          aria-describedby={`${id}-tags-help`}
          autoComplete="off"
        />
      </Field>
      <Field id={`${id}-description`} label="Description" problem={own.description || (told.description ?? "")}>
        <TextArea
          id={`${id}-description`}
          value={draft.description}
          onChange={(_event, description) => set({ description })}
          aria-describedby={`${id}-description-help`}
          resizeOrientation="vertical"
          rows={3}
        />
      </Field>
      <Switch
        id={`${id}-autostart`}
        label="Start when the host boots"
        isChecked={draft.autostart}
        onChange={(_event, autostart) => set({ autostart })}
      />
    </FormDialog>
  );
}
