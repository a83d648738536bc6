import { ExpandableSection, Stack, StackItem, TextArea, TextInput } from "@patternfly/react-core";
import { useState } from "react";

import { plural } from "../../../shared/format";
import { type FirstBoot, type FirstBootProblems, keysIn } from "../firstBoot";
import { Field } from "../../../shared/ui/Field";

interface FirstBootFieldsProps {
  told: FirstBoot;
  problems: FirstBootProblems;
  onChange: (change: Partial<FirstBoot>) => void;
}

/** The cloud-init settings; collapsed unless the user opens them or one is invalid. */
export function FirstBootFields({ told, problems, onChange }: FirstBootFieldsProps) {
  const [isOpen, setOpen] = useState(false);
  const keys = keysIn(told.sshKeys).length;
  const isWrong =
    problems.hostname !== "" || problems.sshKeys !== "" || problems.userData !== "" || problems.vendorData !== "";
  return (
    <ExpandableSection
      toggleText={`First boot (cloud-init)${keys === 0 ? "" : `: with ${plural(keys, "SSH key")}`}`}
      isIndented
      isExpanded={isOpen || isWrong}
      onToggle={(_event, expanded) => setOpen(expanded)}
    >
      <Stack hasGutter>
        <StackItem className="sl-subtle">Applied by cloud-init on first boot and after a wipe.</StackItem>
        <StackItem>
          <Field
            id="hostname"
            label="Host name"
            problem={problems.hostname}
            help="Leave empty to keep the image's host name."
          >
            <TextInput
              id="hostname"
              value={told.hostname}
              onChange={(_event, hostname) => onChange({ hostname })}
              validated={problems.hostname === "" ? "default" : "error"}
              aria-describedby="hostname-help"
              autoComplete="off"
              autoCapitalize="off"
              spellCheck={false}
            />
          </Field>
        </StackItem>
        <StackItem>
          <Field
            id="ssh-keys"
            label="SSH keys"
            problem={problems.sshKeys}
            help="Public keys for the image's default user. One per line."
          >
            <TextArea
              id="ssh-keys"
              className="sl-mono"
              value={told.sshKeys}
              onChange={(_event, sshKeys) => onChange({ sshKeys })}
              validated={problems.sshKeys === "" ? "default" : "error"}
              aria-describedby="ssh-keys-help"
              placeholder="ssh-ed25519 AAAA… you@example"
              resizeOrientation="vertical"
              rows={3}
              spellCheck={false}
            />
          </Field>
        </StackItem>
        <StackItem>
          <Field
            id="user-data"
            label="User data"
            problem={problems.userData}
            help="A #cloud-config, a script that starts with #!, or MIME parts. Don't include secrets: any user in the guest can read it."
          >
            <TextArea
              id="user-data"
              className="sl-mono"
              value={told.userData}
              onChange={(_event, userData) => onChange({ userData })}
              validated={problems.userData === "" ? "default" : "error"}
              aria-describedby="user-data-help"
              resizeOrientation="vertical"
              rows={8}
              spellCheck={false}
            />
          </Field>
        </StackItem>
        <StackItem>
          <Field
            id="vendor-data"
            label="Vendor data"
            problem={problems.vendorData}
            help="Defaults in the same formats. Where both set a key, the user data applies."
          >
            <TextArea
              id="vendor-data"
              className="sl-mono"
              value={told.vendorData}
              onChange={(_event, vendorData) => onChange({ vendorData })}
              validated={problems.vendorData === "" ? "default" : "error"}
              aria-describedby="vendor-data-help"
              resizeOrientation="vertical"
              rows={4}
              spellCheck={false}
            />
          </Field>
        </StackItem>
      </Stack>
    </ExpandableSection>
  );
}
