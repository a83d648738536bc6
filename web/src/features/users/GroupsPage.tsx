import {
  Button,
  Card,
  CardBody,
  CardHeader,
  CardTitle,
  EmptyState,
  EmptyStateBody,
  Form,
  FormSelect,
  FormSelectOption,
  Label,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
  PageSection,
  Skeleton,
  TextInput,
  FormGroup,
  FormHelperText,
  HelperText,
  HelperTextItem,
} from "@patternfly/react-core";
import PlusIcon from "@patternfly/react-icons/dist/esm/icons/plus-icon";
import TrashIcon from "@patternfly/react-icons/dist/esm/icons/trash-icon";
import UsersIcon from "@patternfly/react-icons/dist/esm/icons/users-icon";
import { useId, useState } from "react";

import type { Account, Group } from "../../shared/api/types";
import { plural } from "../../shared/format";
import { ConfirmDialog } from "../../shared/ui/ConfirmDialog";
import { PageHeader } from "../../shared/ui/PageHeader";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { useToasts } from "../../shared/ui/toasts";
import { nameProblem, roleText } from "./account";
import { useChangeGroups, useGroups } from "./api/groups";
import { useUsers } from "./api/users";
import "./users.css";

/** The groups with their members; only administrators can change them. */
export default function GroupsPage({ isAdmin }: { isAdmin: boolean }) {
  const groups = useGroups();
  const users = useUsers();
  const [isAsked, setAsked] = useState(false);
  return (
    <>
      <PageHeader
        title="Groups"
        description="What is shared with a group is shared with all its members."
        actions={
          isAdmin && (
            <Button icon={<PlusIcon />} onClick={() => setAsked(true)}>
              Create group
            </Button>
          )
        }
      />
      <PageSection isFilled aria-label="List of groups">
        {groups.error && (
          <ProblemAlert title="Couldn't load the groups" error={groups.error} onRetry={() => void groups.refetch()} />
        )}
        {groups.isPending && <Skeleton height="8rem" screenreaderText="Loading" />}
        {groups.data?.length === 0 && (
          <EmptyState variant="sm" headingLevel="h2" icon={UsersIcon} titleText="No groups yet">
            <EmptyStateBody>
              Use groups, for example for a class, to share nodes, images and labs with all their members.
            </EmptyStateBody>
          </EmptyState>
        )}
        <ul className="sl-cards" aria-label="Groups">
          {groups.data?.map((group) => (
            <GroupCard key={group.name} group={group} users={users.data ?? []} isAdmin={isAdmin} />
          ))}
        </ul>
      </PageSection>
      {isAsked && <NewGroupDialog taken={groups.data?.map(({ name }) => name) ?? []} onClose={() => setAsked(false)} />}
    </>
  );
}

function GroupCard({ group, users, isAdmin }: { group: Group; users: readonly Account[]; isAdmin: boolean }) {
  const { name, members } = group;
  const [isAsked, setAsked] = useState(false);
  const change = useChangeGroups();
  const remove = useChangeGroups();
  const toasts = useToasts();
  const failure = (error: Error) => toasts.failure(`Couldn't change the members of ${name}`, error);
  const others = users.filter((user) => !members.includes(user.name));
  return (
    <Card component="li" isCompact data-group={name}>
      <CardHeader
        {...(isAdmin && {
          actions: {
            hasNoOffset: true,
            actions: (
              <Button
                variant="plain"
                icon={<TrashIcon />}
                aria-label={`Delete ${name}`}
                onClick={() => setAsked(true)}
              />
            ),
          },
        })}
      >
        <CardTitle component="h2" className="sl-break">
          {name} <span className="sl-subtle">{plural(members.length, "member")}</span>
        </CardTitle>
      </CardHeader>
      <CardBody className="sl-loading">
        {members.length > 0 && (
          <div className="sl-members">
            {members.map((user) => (
              <Label
                key={user}
                variant="outline"
                {...(isAdmin && {
                  onClose: () => change.mutate({ do: "remove", group: name, user }, { onError: failure }),
                  closeBtnAriaLabel: `Remove ${user} from ${name}`,
                })}
              >
                {user}
              </Label>
            ))}
          </div>
        )}
        {isAdmin && (
          <FormSelect
            className="sl-group__add"
            aria-label={`Add member to ${name}`}
            value=""
            onChange={(_event, user) => change.mutate({ do: "add", group: name, user }, { onError: failure })}
          >
            <FormSelectOption
              value=""
              isPlaceholder
              label={others.length > 0 ? "Add member" : "All users are members"}
            />
            {others.map((user) => (
              <FormSelectOption
                key={user.name}
                value={user.name}
                label={`${user.name}, ${roleText(user.role).toLowerCase()}`}
              />
            ))}
          </FormSelect>
        )}
      </CardBody>
      {isAsked && (
        <ConfirmDialog
          title={`Delete ${name}?`}
          action="Delete"
          typedName={name}
          pending={remove.isPending}
          error={remove.error}
          onConfirm={() =>
            remove.mutate({ do: "delete", group: name }, { onSuccess: () => toasts.success(`Deleted ${name}`) })
          }
          onClose={() => {
            setAsked(false);
            remove.reset();
          }}
        >
          {members.length === 1 ? "The member loses" : `The ${members.length} members lose`} access to what was shared
          with the group. Accounts are kept.
        </ConfirmDialog>
      )}
    </Card>
  );
}

function NewGroupDialog({ taken, onClose }: { taken: readonly string[]; onClose: () => void }) {
  const id = useId();
  const [name, setName] = useState("");
  const create = useChangeGroups();
  const problem = nameProblem(name.trim(), taken);
  const isShown = problem !== "" && name !== "";
  return (
    <Modal
      isOpen
      variant="small"
      aria-labelledby={`${id}-title`}
      elementToFocus={`[id="${id}-name"]`}
      onClose={onClose}
    >
      <ModalHeader title="New group" labelId={`${id}-title`} />
      <ModalBody>
        <Form
          id={`${id}-form`}
          onSubmit={(event) => {
            event.preventDefault();
            if (problem === "") {
              create.mutate({ do: "create", group: name.trim() }, { onSuccess: onClose });
            }
          }}
        >
          {create.error && <ProblemAlert title="Couldn't create the group" error={create.error} />}
          <FormGroup label="Name" fieldId={`${id}-name`} isRequired>
            <TextInput
              id={`${id}-name`}
              value={name}
              autoComplete="off"
              autoCapitalize="off"
              spellCheck={false}
              placeholder="class-a"
              validated={isShown ? "error" : "default"}
              aria-describedby={`${id}-help`}
              onChange={(_event, value) => setName(value)}
            />
            <FormHelperText>
              <HelperText id={`${id}-help`} isLiveRegion>
                {isShown && <HelperTextItem variant="error">{problem}</HelperTextItem>}
              </HelperText>
            </FormHelperText>
          </FormGroup>
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button
          type="submit"
          form={`${id}-form`}
          isDisabled={problem !== "" || create.isPending}
          isLoading={create.isPending}
        >
          Create group
        </Button>
        <Button variant="link" onClick={onClose}>
          Cancel
        </Button>
      </ModalFooter>
    </Modal>
  );
}
