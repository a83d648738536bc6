import {
  Alert,
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
  TextArea,
} from "@patternfly/react-core";
import { useEffect, useId, useState } from "react";

import { type Stroke, strokesOf } from "./keys";

interface PasteDialogProps {
  /** Where it is shown: in full screen nothing else is seen. */
  appendTo: () => HTMLElement;
  /** Types into the guest, until done or stopped. */
  onType: (strokes: readonly Stroke[], stop: AbortSignal) => Promise<boolean>;
  /** Hands the text to the guest's clipboard. */
  onClipboard: (text: string) => void;
  onClose: () => void;
}

/** Brings text to the guest: typed key by key, or through its clipboard. */
export function PasteDialog({ appendTo, onType, onClipboard, onClose }: PasteDialogProps) {
  const id = useId();
  const [text, setText] = useState("");
  const [typing, setTyping] = useState<AbortController | null>(null);
  const { strokes, missing } = strokesOf(text);

  useEffect(() => {
    // Only where the page and the user allow it; the field is there for all others.
    if (window.isSecureContext) {
      navigator.clipboard.readText().then(
        (copied) => setText((typed) => typed || copied),
        () => undefined,
      );
    }
  }, []);
  useEffect(() => () => typing?.abort(), [typing]);

  const type = async () => {
    const stop = new AbortController();
    setTyping(stop);
    if (await onType(strokes, stop.signal)) {
      onClose();
    } else {
      setTyping(null);
    }
  };

  return (
    <Modal
      isOpen
      variant="medium"
      appendTo={appendTo}
      aria-labelledby={`${id}-title`}
      onClose={onClose}
      elementToFocus={`[id="${id}-text"]`}
    >
      <ModalHeader title="Paste" labelId={`${id}-title`} />
      <ModalBody>
        <Form onSubmit={(event) => event.preventDefault()}>
          <FormGroup label="Text for the guest" fieldId={`${id}-text`}>
            <TextArea
              id={`${id}-text`}
              value={text}
              rows={6}
              resizeOrientation="vertical"
              isDisabled={typing !== null}
              spellCheck={false}
              onChange={(_event, value) => setText(value)}
            />
            <FormHelperText>
              <HelperText>
                <HelperTextItem>
                  Typing works everywhere, with the keys of a US keyboard: the guest must have that layout. The clipboard
                  works in guests whose desktop has an agent for it.
                </HelperTextItem>
              </HelperText>
            </FormHelperText>
          </FormGroup>
          {missing !== "" && (
            <Alert component="h2" isInline isPlain variant="warning" title={`A US keyboard has no key for: ${missing}. They are left out when typed.`} />
          )}
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button
          isDisabled={strokes.length === 0 || typing !== null}
          isLoading={typing !== null}
          onClick={() => void type()}
        >
          Type as keys
        </Button>
        <Button
          variant="secondary"
          isDisabled={text === "" || typing !== null}
          onClick={() => {
            onClipboard(text);
            onClose();
          }}
        >
          Send to its clipboard
        </Button>
        <Button variant="link" onClick={onClose}>
          {typing ? "Stop" : "Cancel"}
        </Button>
      </ModalFooter>
    </Modal>
  );
}
