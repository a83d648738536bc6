import {
  Button,
  Form,
  FormGroup,
  FormHelperText,
  HelperText,
  HelperTextItem,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
  TextInput,
} from "@patternfly/react-core";
import { useId, useState } from "react";

import type { Node } from "../../../shared/api/types";
import { ProblemAlert } from "../../../shared/ui/ProblemAlert";
import { useNodes } from "../api/listNodes";
import { useRenameNode } from "../api/renameNode";
import { nameProblem } from "../spec";

/** Asks for a node's new name and gives it. */
export function RenameDialog({ node, onClose }: { node: Node; onClose: () => void }) {
  const id = useId();
  const [name, setName] = useState(node.name);
  const nodes = useNodes();
  const rename = useRenameNode(node.id);
  const taken = (nodes.data ?? []).filter((other) => other.host === node.host && other.id !== node.id);
  const problem = nameProblem(
    name,
    taken.map((other) => other.name),
  );
  const submit = () => {
    if (problem === "" && !rename.isPending) {
      rename.mutate(name, { onSuccess: onClose });
    }
  };
  return (
    <Modal
      isOpen
      variant="small"
      aria-labelledby={`${id}-title`}
      onClose={onClose}
      elementToFocus={`[id="${id}-name"]`}
    >
      <ModalHeader title={`Rename ${node.name}`} labelId={`${id}-title`} />
      <ModalBody>
        <Form
          onSubmit={(event) => {
            event.preventDefault();
            submit();
          }}
        >
          {rename.error && <ProblemAlert title="The node keeps its name" error={rename.error} />}
          <FormGroup label="Name" fieldId={`${id}-name`} isRequired>
            <TextInput
              id={`${id}-name`}
              value={name}
              onChange={(_event, value) => setName(value)}
              validated={problem === "" ? "default" : "error"}
              aria-describedby={`${id}-help`}
              autoComplete="off"
              autoCapitalize="off"
              spellCheck={false}
            />
            <FormHelperText>
              <HelperText id={`${id}-help`} isLiveRegion>
                {problem !== "" && <HelperTextItem variant="error">{problem}</HelperTextItem>}
              </HelperText>
            </FormHelperText>
          </FormGroup>
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button
          isDisabled={problem !== "" || name === node.name || rename.isPending}
          isLoading={rename.isPending}
          onClick={submit}
        >
          Rename
        </Button>
        <Button variant="link" onClick={onClose}>
          Cancel
        </Button>
      </ModalFooter>
    </Modal>
  );
}
