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
  /** The container: in full screen mode only its contents are visible. */
  appendTo: () => HTMLElement;
  /** Types into the guest until all is typed or the user stops it. */
  onType: (strokes: readonly Stroke[], stop: AbortSignal) => Promise<boolean>;
  /** Sends the text to the guest's clipboard. */
  onClipboard: (text: string) => void;
  onClose: () => void;
}

/** Sends text to the guest: key by key, or through its clipboard. */
export function PasteDialog({ appendTo, onType, onClipboard, onClose }: PasteDialogProps) {
  const id = useId();
  const [text, setText] = useState("");
  const [typing, setTyping] = useState<AbortController | null>(null);
  const { strokes, missing } = strokesOf(text);

  useEffect(() => {
    // Only if the browser and the user allow it; otherwise the user fills in the field.
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
          <FormGroup label="Text to paste" fieldId={`${id}-text`}>
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
                  Typing needs a US keyboard layout in the guest. The clipboard needs an agent in the guest.
                </HelperTextItem>
              </HelperText>
            </FormHelperText>
          </FormGroup>
          {missing !== "" && (
            <Alert
              component="h2"
              isInline
              isPlain
              variant="warning"
              title={`These characters can't be typed and will be skipped: ${missing}`}
            />
          )}
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button
          isDisabled={strokes.length === 0 || typing !== null}
          isLoading={typing !== null}
          onClick={() => void type()}
        >
          Type it
        </Button>
        <Button
          variant="secondary"
          isDisabled={text === "" || typing !== null}
          onClick={() => {
            onClipboard(text);
            onClose();
          }}
        >
          Send to clipboard
        </Button>
        <Button variant="link" onClick={onClose}>
          {typing ? "Stop" : "Cancel"}
        </Button>
      </ModalFooter>
    </Modal>
  );
}
