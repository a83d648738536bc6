import { Checkbox, FormGroup, FormSelect, FormSelectOption, TextArea, TextInput } from "@patternfly/react-core";
import { useId, useState } from "react";

import type { Image } from "../../../shared/api/types";
import { type Firmware, firmwareNames, firmwares } from "../../../shared/firmware";
import { Field } from "../../../shared/ui/Field";
import { FormDialog } from "../../../shared/ui/FormDialog";
import { NameField } from "../../../shared/ui/NameField";
import { useEditImage } from "../api/editImage";
import { readTags, titleOf } from "../library";

/** Edits an image's name, description, tags, and the firmware of its nodes. */
export function EditImageDialog({ image, onClose }: { image: Image; onClose: () => void }) {
  const id = useId();
  const [name, setName] = useState(titleOf(image));
  const [description, setDescription] = useState(image.description);
  const [tags, setTags] = useState(image.tags.join(", "));
  const [firmware, setFirmware] = useState<Firmware>(image.firmware ?? "bios");
  const [tpm, setTPM] = useState(image.tpm);
  const edit = useEditImage(image);
  return (
    <FormDialog
      title={`Edit ${titleOf(image)}`}
      action="Save"
      failure="Couldn't save changes"
      focus={`[id="${id}-name"]`}
      isReady={name.trim() !== ""}
      pending={edit.isPending}
      error={edit.error}
      onSubmit={() =>
        edit.mutate(
          { displayName: name.trim(), description: description.trim(), tags: readTags(tags), firmware, tpm },
          { onSuccess: onClose },
        )
      }
      onClose={onClose}
    >
      <NameField
        id={`${id}-name`}
        value={name}
        problem={name.trim() === "" ? "Enter a name." : ""}
        onChange={setName}
      />
      <FormGroup label="Description" fieldId={`${id}-description`}>
        <TextArea
          id={`${id}-description`}
          value={description}
          resizeOrientation="vertical"
          rows={3}
          onChange={(_event, value) => setDescription(value)}
        />
      </FormGroup>
      <Field id={`${id}-tags`} label="Tags" problem="" help="Separate with commas.">
        <TextInput
          id={`${id}-tags`}
          value={tags}
          placeholder="course-1, linux"
          autoComplete="off"
          aria-describedby={`${id}-tags-help`}
          onChange={(_event, value) => setTags(value)}
        />
      </Field>
      <Field id={`${id}-firmware`} label="Firmware of new nodes" problem="" help="">
        <FormSelect
          id={`${id}-firmware`}
          value={firmware}
          onChange={(_event, value) => setFirmware(value as Firmware)}
          aria-describedby={`${id}-firmware-help`}
        >
          {firmwares.map((value) => (
            <FormSelectOption key={value} value={value} label={firmwareNames[value]} />
          ))}
        </FormSelect>
      </Field>
      <Checkbox
        id={`${id}-tpm`}
        label="Give new nodes a TPM 2.0"
        isChecked={tpm}
        onChange={(_event, value) => setTPM(value)}
      />
    </FormDialog>
  );
}
