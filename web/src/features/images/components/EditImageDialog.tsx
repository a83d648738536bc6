import { FormGroup, TextArea, TextInput } from "@patternfly/react-core";
import { useId, useState } from "react";

import type { Image } from "../../../shared/api/types";
import { Field } from "../../../shared/ui/Field";
import { FormDialog } from "../../../shared/ui/FormDialog";
import { NameField } from "../../../shared/ui/NameField";
import { useEditImage } from "../api/editImage";
import { readTags, titleOf } from "../library";

/** Changes what an image is called, its description and its tags. */
export function EditImageDialog({ image, onClose }: { image: Image; onClose: () => void }) {
  const id = useId();
  const [name, setName] = useState(titleOf(image));
  const [description, setDescription] = useState(image.description);
  const [tags, setTags] = useState(image.tags.join(", "));
  const edit = useEditImage(image.id);
  return (
    <FormDialog
      title={`Edit ${titleOf(image)}`}
      action="Save"
      failure="The image was not changed"
      focus={`[id="${id}-name"]`}
      isReady={name.trim() !== ""}
      pending={edit.isPending}
      error={edit.error}
      onSubmit={() =>
        edit.mutate({ displayName: name.trim(), description: description.trim(), tags: readTags(tags) }, { onSuccess: onClose })
      }
      onClose={onClose}
    >
      <NameField id={`${id}-name`} value={name} problem={name.trim() === "" ? "Give the image a name." : ""} onChange={setName} />
      <FormGroup label="Description" fieldId={`${id}-description`}>
        <TextArea
          id={`${id}-description`}
          value={description}
          resizeOrientation="vertical"
          rows={3}
          onChange={(_event, value) => setDescription(value)}
        />
      </FormGroup>
      <Field id={`${id}-tags`} label="Tags" problem="" help="Separated by commas.">
        <TextInput
          id={`${id}-tags`}
          value={tags}
          placeholder="course-1, linux"
          autoComplete="off"
          aria-describedby={`${id}-tags-help`}
          onChange={(_event, value) => setTags(value)}
        />
      </Field>
    </FormDialog>
  );
}
