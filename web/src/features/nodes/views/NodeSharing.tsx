import { Button, EmptyState, EmptyStateBody, FormSelect, FormSelectOption, Label, TextInput, Title } from "@patternfly/react-core";
import UserIcon from "@patternfly/react-icons/dist/esm/icons/user-icon";
import UsersIcon from "@patternfly/react-icons/dist/esm/icons/users-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useState } from "react";

import type { Node, Share } from "../../../shared/api/types";
import { Ago } from "../../../shared/ui/Ago";
import { useToasts } from "../../../shared/ui/toasts";
import { type Party, type ShareChange, useChangeShare, useParties, useShares } from "../api/shares";
import { ViewState } from "../components/ViewState";

const levels: readonly { value: Share["level"]; text: string }[] = [
  { value: "view", text: "may watch" },
  { value: "use", text: "may work in it" },
];

interface NodeSharingProps {
  node: Node;
  /** Whether the user's role lets them see who there is. */
  mayListPeople: boolean;
}

/** With whom a node is shared, and what they may do. */
export default function NodeSharing({ node, mayListPeople }: NodeSharingProps) {
  const shares = useShares(node.id);
  const change = useChangeShare(node.id);
  const toasts = useToasts();
  const apply = (next: ShareChange) =>
    change.mutate(next, { onError: (error) => toasts.failure("The sharing stays as it is", error) });
  return (
    <section aria-label="Sharing">
      <div className="sl-view__head">
        <Title headingLevel="h2" size="lg">
          Shared with
        </Title>
        <ShareWith node={node} shares={shares.data ?? []} mayListPeople={mayListPeople} onShare={apply} />
      </div>
      <ViewState what="the sharing" query={shares} />
      {shares.data?.length === 0 && (
        <EmptyState variant="sm" headingLevel="h3" icon={UsersIcon} titleText="Shared with nobody">
          <EmptyStateBody>
            {node.owner ? `${node.owner}, who owns it, and administrators` : "Administrators"} see this node. Share it to let
            others watch its console and screen, or work in it.
          </EmptyStateBody>
        </EmptyState>
      )}
      {shares.data && shares.data.length > 0 && (
        <Table aria-label="Shares" variant="compact" gridBreakPoint="" className="sl-table">
          <Thead>
            <Tr>
              <Th>Who</Th>
              <Th>What</Th>
              <Th>Since</Th>
              <Th screenReaderText="Actions" />
            </Tr>
          </Thead>
          <Tbody>
            {shares.data.map((share) => {
              const party = partyOf(share);
              return (
                <Tr key={`${party.kind} ${party.name}`} data-share={party.name}>
                  <Td dataLabel="Who" modifier="breakWord">
                    <Label icon={party.kind === "group" ? <UsersIcon /> : <UserIcon />} variant="outline">
                      {party.name}
                    </Label>
                  </Td>
                  <Td dataLabel="What">
                    <FormSelect
                      aria-label={`What ${party.name} may do`}
                      value={share.level}
                      onChange={(_event, level) => apply({ ...party, level: level as Share["level"] })}
                    >
                      {levels.map(({ value, text }) => (
                        <FormSelectOption key={value} value={value} label={text} />
                      ))}
                    </FormSelect>
                  </Td>
                  <Td dataLabel="Since" modifier="nowrap">
                    <Ago time={share.created} />
                  </Td>
                  <Td isActionCell>
                    <Button
                      size="sm"
                      variant="secondary"
                      aria-label={`Share with ${party.name} no more`}
                      onClick={() => apply({ ...party, level: null })}
                    >
                      Remove
                    </Button>
                  </Td>
                </Tr>
              );
            })}
          </Tbody>
        </Table>
      )}
    </section>
  );
}

function partyOf({ user, group }: Share): Party {
  return group === undefined ? { kind: "user", name: user ?? "" } : { kind: "group", name: group };
}

interface ShareWithProps extends NodeSharingProps {
  shares: readonly Share[];
  onShare: (change: ShareChange) => void;
}

/** Asks with whom to share, and what they may do. */
function ShareWith({ node, shares, mayListPeople, onShare }: ShareWithProps) {
  const parties = useParties(mayListPeople);
  const [chosen, setChosen] = useState("");
  const [level, setLevel] = useState<Share["level"]>("use");
  const has = ({ kind, name }: Party) => shares.some((share) => share[kind] === name);
  const free = (parties.data ?? []).filter((party) => !has(party) && !(party.kind === "user" && party.name === node.owner));
  const party = mayListPeople
    ? free.find((one) => keyOf(one) === chosen)
    : chosen.trim() === ""
      ? undefined
      : ({ kind: "user", name: chosen.trim() } as const);
  return (
    <form
      className="sl-inline-form"
      onSubmit={(event) => {
        event.preventDefault();
        if (party) {
          onShare({ ...party, level });
          setChosen("");
        }
      }}
    >
      {mayListPeople ? (
        <FormSelect aria-label="Share with" value={party ? chosen : ""} onChange={(_event, key) => setChosen(key)}>
          <FormSelectOption value="" label={free.length === 0 ? "Nobody else is there" : "Somebody or a group…"} isPlaceholder />
          {free.map((one) => (
            <FormSelectOption
              key={keyOf(one)}
              value={keyOf(one)}
              label={one.kind === "group" ? `${one.name} (group)` : one.name}
            />
          ))}
        </FormSelect>
      ) : (
        <TextInput
          aria-label="Share with"
          placeholder="User name"
          value={chosen}
          onChange={(_event, name) => setChosen(name)}
          autoCapitalize="off"
          autoComplete="off"
          spellCheck={false}
        />
      )}
      <FormSelect aria-label="What they may do" value={level} onChange={(_event, next) => setLevel(next as Share["level"])}>
        {levels.map(({ value, text }) => (
          <FormSelectOption key={value} value={value} label={text} />
        ))}
      </FormSelect>
      <Button type="submit" variant="secondary" isDisabled={!party}>
        Share
      </Button>
    </form>
  );
}

const keyOf = ({ kind, name }: Party) => `${kind} ${name}`;
