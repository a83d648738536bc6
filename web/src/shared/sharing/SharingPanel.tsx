import {
  Button,
  Flex,
  FlexItem,
  Form,
  FormGroup,
  FormSelect,
  FormSelectOption,
  FormSelectOptionGroup,
  Label,
  Skeleton,
} from "@patternfly/react-core";
import TrashIcon from "@patternfly/react-icons/dist/esm/icons/trash-icon";
import UserIcon from "@patternfly/react-icons/dist/esm/icons/user-icon";
import UsersIcon from "@patternfly/react-icons/dist/esm/icons/users-icon";
import { useId, useState } from "react";

import type { Share } from "../api/types";
import { ProblemAlert } from "../ui/ProblemAlert";
import "./SharingPanel.css";
import { type Grantee, type Shared, granteeOf, useGrantees, useRemoveShare, useSetShare, useShares } from "./shares";

interface SharingPanelProps {
  kind: Shared;
  id: string;
  /** The labels of the permissions: {view: "View only", use: "Use"}. */
  means: Record<Share["level"], string>;
}

/** The users and groups that an object is shared with, and a form to share it. */
export function SharingPanel({ kind, id, means }: SharingPanelProps) {
  const shares = useShares(kind, id);
  const set = useSetShare(kind, id);
  const remove = useRemoveShare(kind, id);
  const error = set.error ?? remove.error;
  return (
    <div className="sl-sharing">
      {shares.error && (
        <ProblemAlert title="Couldn't load sharing" error={shares.error} onRetry={() => void shares.refetch()} />
      )}
      {error && <ProblemAlert title="Couldn't save" error={error} />}
      {shares.isPending && <Skeleton screenreaderText="Loading" />}
      {shares.data?.length === 0 && <p className="sl-subtle">Not shared yet.</p>}
      {shares.data && shares.data.length > 0 && (
        <ul className="sl-sharing__list" aria-label="Shared with">
          {shares.data.map((share) => {
            const grantee = granteeOf(share);
            return (
              <li key={`${grantee.to}/${grantee.name}`} data-share={grantee.name}>
                <Label variant="outline" icon={grantee.to === "users" ? <UserIcon /> : <UsersIcon />}>
                  {grantee.name}
                </Label>
                <FormSelect
                  className="sl-sharing__level"
                  aria-label={`Permission of ${grantee.name}`}
                  value={share.level}
                  onChange={(_event, level) => set.mutate({ ...grantee, level: level as Share["level"] })}
                >
                  <FormSelectOption value="view" label={means.view} />
                  <FormSelectOption value="use" label={means.use} />
                </FormSelect>
                <Button
                  variant="plain"
                  icon={<TrashIcon />}
                  aria-label={`Remove ${grantee.name}`}
                  onClick={() => remove.mutate(grantee)}
                />
              </li>
            );
          })}
        </ul>
      )}
      <ShareWith
        taken={shares.data ?? []}
        means={means}
        isPending={set.isPending}
        onShare={(grantee, level) => set.mutate({ ...grantee, level })}
      />
    </div>
  );
}

interface ShareWithProps {
  taken: readonly Share[];
  means: SharingPanelProps["means"];
  isPending: boolean;
  onShare: (grantee: Grantee, level: Share["level"]) => void;
}

function ShareWith({ taken, means, isPending, onShare }: ShareWithProps) {
  const id = useId();
  const grantees = useGrantees();
  const [chosen, setChosen] = useState("");
  const [level, setLevel] = useState<Share["level"]>("use");
  if (!grantees.data) {
    return null; // users who can't list accounts can't share
  }
  const isTaken = (to: Grantee["to"], name: string) =>
    taken.some((share) => granteeOf(share).to === to && granteeOf(share).name === name);
  const options = (to: Grantee["to"], names: readonly string[]) =>
    names
      .filter((name) => !isTaken(to, name))
      .map((name) => <FormSelectOption key={name} value={`${to}/${name}`} label={name} />);
  const [to, ...rest] = chosen.split("/");
  const name = rest.join("/");
  return (
    <Form
      onSubmit={(event) => {
        event.preventDefault();
        if (name !== "") {
          onShare({ to: to as Grantee["to"], name }, level);
          setChosen("");
        }
      }}
    >
      <Flex alignItems={{ default: "alignItemsFlexEnd" }} className="sl-sharing__new">
        <FlexItem>
          <FormGroup label="Share with" fieldId={`${id}-who`}>
            <FormSelect id={`${id}-who`} value={chosen} onChange={(_event, value) => setChosen(value)}>
              <FormSelectOption value="" label="Select a user or group" isPlaceholder />
              <FormSelectOptionGroup label="Groups">{options("groups", grantees.data.groups)}</FormSelectOptionGroup>
              <FormSelectOptionGroup label="Users">{options("users", grantees.data.users)}</FormSelectOptionGroup>
            </FormSelect>
          </FormGroup>
        </FlexItem>
        <FlexItem>
          <FormGroup label="Permission" fieldId={`${id}-level`}>
            <FormSelect
              id={`${id}-level`}
              value={level}
              onChange={(_event, value) => setLevel(value as Share["level"])}
            >
              <FormSelectOption value="view" label={means.view} />
              <FormSelectOption value="use" label={means.use} />
            </FormSelect>
          </FormGroup>
        </FlexItem>
        <FlexItem>
          <Button type="submit" variant="secondary" isDisabled={name === "" || isPending} isLoading={isPending}>
            Share
          </Button>
        </FlexItem>
      </Flex>
    </Form>
  );
}
