import { Button, Form, FormGroup, FormHelperText, HelperText, HelperTextItem, Modal, ModalBody, ModalFooter, ModalHeader, TextArea, TextInput } from "@patternfly/react-core";
import { useId, useState } from "react";

import type { Image } from "../../../shared/api/types";
import { ProblemAlert } from "../../../shared/ui/ProblemAlert";
import { useEditImage } from "../api/editImage";
import { readTags, titleOf } from "../library";

/** Changes what an image is called, its description and its tags. */
export function EditImageDialog({ image, onClose }: { image: Image; onClose: () => void }) {
  const id = useId();
  const [name, setName] = useState(titleOf(image));
  const [description, setDescription] = useState(image.description);
  const [tags, setTags] = useState(image.tags.join(", "));
  const edit = useEditImage(image.id);
  const isReady = name.trim() !== "" && !edit.isPending;
  return (
    <Modal isOpen variant="small" aria-labelledby={`${id}-title`} elementToFocus={`[id="${id}-name"]`} onClose={onClose}>
      <ModalHeader title={`Edit ${titleOf(image)}`} labelId={`${id}-title`} />
      <ModalBody>
        <Form
          id={`${id}-form`}
          onSubmit={(event) => {
            event.preventDefault();
            if (isReady) {
              edit.mutate({ displayName: name.trim(), description: description.trim(), tags: readTags(tags) }, { onSuccess: onClose });
            }
          }}
        >
          {edit.error && <ProblemAlert title="The image was not changed" error={edit.error} />}
          <FormGroup label="Name" fieldId={`${id}-name`} isRequired>
            <TextInput id={`${id}-name`} value={name} onChange={(_event, value) => setName(value)} autoComplete="off" />
          </FormGroup>
          <FormGroup label="Description" fieldId={`${id}-description`}>
            <TextArea
              id={`${id}-description`}
              value={description}
              resizeOrientation="vertical"
              rows={3}
              onChange={(_event, value) => setDescription(value)}
            />
          </FormGroup>
          <FormGroup label="Tags" fieldId={`${id}-tags`}>
            <TextInput
              id={`${id}-tags`}
              value={tags}
              placeholder="course-1, linux"
              autoComplete="off"
              aria-describedby={`${id}-tags-help`}
              onChange={(_event, value) => setTags(value)}
            />
            <FormHelperText>
              <HelperText id={`${id}-tags-help`}>
                <HelperTextItem>Separated by commas.</HelperTextItem>
              </HelperText>
            </FormHelperText>
          </FormGroup>
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button type="submit" form={`${id}-form`} isDisabled={!isReady} isLoading={edit.isPending}>
          Save
        </Button>
        <Button variant="link" onClick={onClose}>
          Cancel
        </Button>
      </ModalFooter>
    </Modal>
  );
}
