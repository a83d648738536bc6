import { Button, Form, FormGroup, FormHelperText, HelperText, HelperTextItem, Modal, ModalBody, ModalFooter, ModalHeader, TextInput } from "@patternfly/react-core";
import { useId, useState } from "react";

import type { Image } from "../../../shared/api/types";
import { formatBytes } from "../../../shared/format";
import { ProblemAlert } from "../../../shared/ui/ProblemAlert";
import { useToasts } from "../../../shared/ui/toasts";
import { useImageWork } from "../api/imageWork";
import { titleOf } from "../library";

const gibibyte = 1024 ** 3;

/** Makes the disk that guests see larger. */
export function GrowDialog({ image, onClose }: { image: Image; onClose: () => void }) {
  const id = useId();
  const [size, setSize] = useState(String(Math.ceil(image.virtualSize / gibibyte) + 1));
  const work = useImageWork(image.id);
  const toasts = useToasts();
  const virtualSize = Math.round(Number(size) * gibibyte);
  const isReady = virtualSize > image.virtualSize && Number.isFinite(virtualSize);
  return (
    <Modal isOpen variant="small" aria-labelledby={`${id}-title`} elementToFocus={`[id="${id}-size"]`} onClose={onClose}>
      <ModalHeader title={`Grow ${titleOf(image)}`} labelId={`${id}-title`} />
      <ModalBody>
        <Form
          id={`${id}-form`}
          onSubmit={(event) => {
            event.preventDefault();
            if (isReady) {
              work.mutate(
                { do: "resize", virtualSize },
                {
                  onSuccess: () => {
                    toasts.success(`${titleOf(image)} is being grown`);
                    onClose();
                  },
                },
              );
            }
          }}
        >
          {work.error && <ProblemAlert title="The image does not grow" error={work.error} />}
          <FormGroup label="Size of the disk, in GiB" fieldId={`${id}-size`}>
            <TextInput
              id={`${id}-size`}
              type="number"
              step="any"
              value={size}
              validated={isReady ? "default" : "error"}
              aria-describedby={`${id}-help`}
              onChange={(_event, value) => setSize(value)}
            />
            <FormHelperText>
              <HelperText id={`${id}-help`} isLiveRegion>
                <HelperTextItem variant={isReady ? "default" : "error"}>
                  Now {formatBytes(image.virtualSize)}; a disk only grows. Nodes that are made later get the new size.
                </HelperTextItem>
              </HelperText>
            </FormHelperText>
          </FormGroup>
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button type="submit" form={`${id}-form`} isDisabled={!isReady || work.isPending} isLoading={work.isPending}>
          Grow
        </Button>
        <Button variant="link" onClick={onClose}>
          Cancel
        </Button>
      </ModalFooter>
    </Modal>
  );
}
