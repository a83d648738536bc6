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

/** What the guest is told at its first boot, out of the way until it is wanted, or something in it is wrong. */
export function FirstBootFields({ told, problems, onChange }: FirstBootFieldsProps) {
  const [isOpen, setOpen] = useState(false);
  const keys = keysIn(told.sshKeys).length;
  const isWrong = problems.hostname !== "" || problems.sshKeys !== "" || problems.userData !== "";
  return (
    <ExpandableSection
      toggleText={`First boot (cloud-init)${keys === 0 ? "" : `: with ${plural(keys, "SSH key")}`}`}
      isIndented
      isExpanded={isOpen || isWrong}
      onToggle={(_event, expanded) => setOpen(expanded)}
    >
      <Stack hasGutter>
        <StackItem className="sl-subtle">
          For guests with cloud-init, as cloud images have it, and for Micro. They read it at their first boot, and at the
          first one after a wipe.
        </StackItem>
        <StackItem>
          <Field id="hostname" label="Host name" problem={problems.hostname} help="Empty: as in the image.">
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
            help="Those of your profile, or others: public keys that may sign in as the image's default user, one a line."
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
            help="A #cloud-config, a script that begins with #!, or MIME parts. Keep secrets out: everything in the guest can read it."
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
      </Stack>
    </ExpandableSection>
  );
}
