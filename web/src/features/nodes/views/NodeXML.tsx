import { Alert, Button, HelperText, HelperTextItem, Title } from "@patternfly/react-core";
import DownloadIcon from "@patternfly/react-icons/dist/esm/icons/download-icon";
import { useEffect, useRef, useState } from "react";

import { atBase } from "../../../shared/base";
import type { Node } from "../../../shared/api/types";
import { CopyButton } from "../../../shared/ui/CopyButton";
import { ProblemAlert } from "../../../shared/ui/ProblemAlert";
import { useToasts } from "../../../shared/ui/toasts";
import { type Definition as Version, useNodeDefinition, useNodeXML, useSaveNodeXML } from "../api/nodeXML";
import { ViewState } from "../components/ViewState";
import { isActive } from "../state";
import { XMLEditor } from "../xml/editor";
import { xmlProblem } from "../xml/problem";

interface NodeXMLProps {
  node: Node;
  /** Only administrators may edit it: it can give the guest access to any file of the host. */
  mayEdit: boolean;
}

/** The domain's current XML, and for administrators an editor for the definition that it starts with. */
export default function NodeXML({ node, mayEdit }: NodeXMLProps) {
  const xml = useNodeXML(node);
  return (
    <section aria-label="Domain XML">
      <ViewState what="the XML" query={xml} />
      {xml.data !== undefined && <Definition node={node} xml={xml.data} mayEdit={mayEdit} />}
    </section>
  );
}

function Definition({ node, xml, mayEdit }: NodeXMLProps & { xml: string }) {
  const [edit, setEdit] = useState<{ text: string; before: Version } | null>(null);
  const place = useRef<HTMLDivElement>(null);
  const editor = useRef<XMLEditor>(null);
  const save = useSaveNodeXML(node.id);
  const toasts = useToasts();
  const isEditing = edit !== null;
  const definition = useNodeDefinition(node, mayEdit && node.persistent);
  const problem = edit ? xmlProblem(edit.text) : "";

  useEffect(() => {
    if (!place.current) {
      return;
    }
    const made = new XMLEditor(place.current, {
      text: "",
      isReadOnly: true,
      label: "Domain XML",
      onChange: (text) => setEdit((now) => now && { ...now, text }),
    });
    editor.current = made;
    return () => {
      made.close();
      editor.current = null;
    };
  }, []);
  useEffect(() => {
    if (!isEditing) {
      editor.current?.setText(xml); // while the user edits, their text is kept
    }
    editor.current?.setReadOnly(!isEditing);
  }, [xml, isEditing]);

  // The running domain may differ from the definition for the next start; the latter is edited.
  const latest = definition.data;
  const begin = async () => {
    const reading = definition.refetch();
    // The editor opens immediately with the known definition.
    const before = latest ?? (await reading).data;
    if (!before) {
      return; // shown below the buttons
    }
    editor.current?.setText(before.text);
    setEdit({ text: before.text, before });
    editor.current?.focus();
    // The definition may have changed: show the new one unless the user has already typed.
    const { data: now } = await reading;
    if (now && now.version !== before.version && editor.current?.isUntouched(before.text)) {
      editor.current.setText(now.text);
      setEdit({ text: now.text, before: now });
    }
  };
  const submit = async (text: string, { version }: Version) => {
    try {
      await save.mutateAsync({ text, version });
    } catch {
      return; // shown above the buttons
    }
    toasts.success(isActive(node) ? "Saved. Takes effect at next start." : "Saved");
    setEdit(null);
  };
  return (
    <>
      <div className="sl-view__head">
        <Title headingLevel="h2" size="lg">
          Domain XML
        </Title>
        <div className="sl-inline-form">
          <CopyButton text={edit?.text ?? xml} label="Copy the XML" />
          <Button
            variant="link"
            icon={<DownloadIcon />}
            component="a"
            href={atBase(`/api/nodes/${encodeURIComponent(node.id)}/xml`)}
            download={`${node.name}.xml`}
          >
            Download
          </Button>
          {mayEdit && !edit && (
            <Button
              variant="secondary"
              isDisabled={!node.persistent || definition.isLoading}
              onClick={() => void begin()}
            >
              Edit
            </Button>
          )}
          {edit && (
            <>
              <Button
                isDisabled={problem !== "" || edit.text === edit.before.text || save.isPending}
                isLoading={save.isPending}
                onClick={() => void submit(edit.text, edit.before)}
              >
                Save
              </Button>
              <Button
                variant="link"
                onClick={() => {
                  save.reset();
                  setEdit(null);
                }}
              >
                Discard changes
              </Button>
            </>
          )}
        </div>
      </div>
      {edit && latest && edit.before.version !== latest.version && (
        <Alert
          component="h2"
          isInline
          variant="warning"
          title="Changed while you were editing"
          className="sl-node-problem"
        >
          Someone else changed the definition, so yours can't be saved. Copy what you need, then discard your changes to
          start from the current version.
        </Alert>
      )}
      {definition.error && !edit && <ProblemAlert title="Couldn't load the definition" error={definition.error} />}
      {save.error && edit && <ProblemAlert title="Couldn't save the XML" error={save.error} />}
      {edit && (
        <HelperText isLiveRegion className="sl-view__note">
          <HelperTextItem variant={problem === "" ? "default" : "error"}>
            {problem ||
              `libvirt checks it when you save. Name and UUID can't be changed.${isActive(node) ? " Changes take effect at next start." : ""}`}
          </HelperTextItem>
        </HelperText>
      )}
      <div className="sl-xml-editor" ref={place} />
    </>
  );
}
