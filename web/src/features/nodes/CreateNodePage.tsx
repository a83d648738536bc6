import {
  ActionGroup,
  Breadcrumb,
  BreadcrumbItem,
  Button,
  CodeBlock,
  CodeBlockAction,
  CodeBlockCode,
  ExpandableSection,
  Form,
  FormGroup,
  FormSelect,
  FormSelectOption,
  Grid,
  GridItem,
  HelperText,
  HelperTextItem,
  PageSection,
  Skeleton,
  TextInput,
} from "@patternfly/react-core";
import TerminalIcon from "@patternfly/react-icons/dist/esm/icons/terminal-icon";
import { type ReactNode, useState } from "react";
import { Link, useNavigate, useSearchParams } from "react-router";

import { serviceURL } from "../../shared/base";
import { idempotencyKey } from "../../shared/api/client";
import { RequestError } from "../../shared/api/problem";
import type { Host, Image, Node } from "../../shared/api/types";
import { paths } from "../../shared/paths";
import { CopyButton } from "../../shared/ui/CopyButton";
import { PageHeader } from "../../shared/ui/PageHeader";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { useToasts } from "../../shared/ui/toasts";
import { useCreateNode } from "./api/createNode";
import { changeLifecycle } from "./api/lifecycle";
import { useNodes } from "./api/listNodes";
import { Field } from "../../shared/ui/Field";
import { FirmwareFields } from "./components/FirmwareFields";
import { FirstBootFields } from "./components/FirstBootFields";
import { ImageSource } from "./components/ImageSource";
import { NetworkField } from "./components/NetworkField";
import { SizeFields } from "./components/SizeFields";
import { nothingToTell } from "./firstBoot";
import {
  type Draft,
  type DraftProblems,
  curlCommand,
  draftProblems,
  limitsOf,
  presets,
  specOf,
  suggestName,
} from "./spec";

interface CreateNodePageProps {
  /** All images; undefined while loading. */
  images: readonly Image[] | undefined;
  /** The hosts, which limit the size of a node; the user can select one if there are several. */
  hosts: readonly Host[];
  /** Whether scripts need a token. */
  authOn: boolean;
  /** The public keys of the user's profile. */
  sshKeys: readonly string[];
  /** Renders an upload area that calls onUploaded with each finished image. */
  upload: (onUploaded: (image: Image) => void) => ReactNode;
}

/** The form for a new node; ?image= preselects its image. */
export function CreateNodePage({ images, hosts, authOn, sshKeys, upload }: CreateNodePageProps) {
  const [params, setParams] = useSearchParams();
  const nodes = useNodes();
  const navigate = useNavigate();
  const toasts = useToasts();
  const create = useCreateNode();
  const [opening, setOpening] = useState(false);
  // null: the user has not edited the suggested name.
  const [typedName, setTypedName] = useState<string | null>(null);
  const [fields, setFields] = useState<Omit<Draft, "name">>({
    ram: String(presets[0].ram),
    cpus: String(presets[0].cpus),
    disk: "",
    host: "",
    network: "",
    firmware: "",
    tpm: "",
    ...nothingToTell,
    sshKeys: sshKeys.join("\n"),
  });

  const ready = images?.filter(({ state }) => state === "ready") ?? [];
  const image = ready.find(({ id }) => id === params.get("image")) ?? ready[0];
  const known = nodes.data ?? [];
  const name =
    typedName ??
    suggestName(
      image?.id ?? "node",
      known.map((node) => node.name),
    );
  const draft: Draft = { ...fields, name };
  const limits = limitsOf(hosts, fields.host);
  const ownProblems = draftProblems(draft, image, known, limits);
  const problems = withServerProblems(ownProblems, create.error);
  const spec = specOf(draft, image?.id ?? "");
  const isReady = image !== undefined && Object.values(ownProblems).every((text) => text === "");

  const choose = (id: string) => setParams({ image: id }, { replace: true });
  const set = (change: Partial<Omit<Draft, "name">>) => {
    create.reset();
    setFields((previous) => ({ ...previous, ...change }));
  };

  const submit = async (andOpen: boolean) => {
    if (!isReady || create.isPending || opening) {
      return;
    }
    let node: Node;
    try {
      node = await create.mutateAsync({ spec, idempotencyKey: idempotencyKey() });
    } catch {
      return; // shown above the buttons
    }
    // Those about cloud-init are only in this answer, not in the node as it is shown later.
    node.warnings.forEach((warning) => toasts.warning(`Check node ${node.name}`, warning));
    if (!andOpen) {
      toasts.success(`Created ${node.name}`);
      await navigate(paths.node(node.id));
      return;
    }
    setOpening(true);
    try {
      await changeLifecycle(node.id, "run");
    } catch (error) {
      toasts.failure(`Created ${node.name}, but it couldn't be started`, error);
    }
    await navigate(paths.console(node.id));
  };

  return (
    <>
      <PageSection type="breadcrumb" aria-label="Breadcrumb">
        <Breadcrumb>
          <BreadcrumbItem>
            <Link to={paths.nodes}>Nodes</Link>
          </BreadcrumbItem>
          <BreadcrumbItem isActive>Create</BreadcrumbItem>
        </Breadcrumb>
      </PageSection>
      <PageHeader title="Create node" />
      <PageSection isFilled aria-label="New node">
        <Form
          className="sl-form"
          onSubmit={(event) => {
            event.preventDefault();
            void submit(false);
          }}
        >
          <FormGroup label="Image" isRequired role="group" fieldId="image">
            {images === undefined ? (
              <Skeleton height="5rem" screenreaderText="Loading the images" />
            ) : (
              <ImageSource images={ready} chosen={image} onChoose={({ id }) => choose(id)} upload={upload} />
            )}
          </FormGroup>

          <Field id="name" label="Name" problem={problems.name} help="Letters, digits, ., - and _.">
            <TextInput
              id="name"
              value={name}
              onChange={(_event, value) => {
                create.reset();
                setTypedName(value);
              }}
              validated={problems.name === "" ? "default" : "error"}
              aria-describedby="name-help"
              isRequired
              autoComplete="off"
              autoCapitalize="off"
              spellCheck={false}
            />
          </Field>

          <Grid hasGutter sm={6}>
            {hosts.length > 1 && (
              <GridItem>
                <FormGroup label="Host" fieldId="host">
                  <FormSelect id="host" value={fields.host} onChange={(_event, host) => set({ host, network: "" })}>
                    <FormSelectOption value="" label={`Automatic (${hosts[0]?.name ?? ""})`} />
                    {hosts.map(({ name: host }) => (
                      <FormSelectOption key={host} value={host} label={host} />
                    ))}
                  </FormSelect>
                </FormGroup>
              </GridItem>
            )}
            <GridItem>
              <NetworkField
                host={hosts.find(({ name: host }) => host === limits.host)}
                chosen={fields.network}
                onChoose={(network) => set({ network })}
              />
            </GridItem>
          </Grid>

          <SizeFields size={fields} problems={problems} limits={limits} image={image} onChange={set} />

          <FirmwareFields chosen={fields} image={image} onChange={set} />

          <FirstBootFields told={fields} problems={problems} onChange={set} />

          <ExpandableSection toggleText="Show command">
            <CodeBlock
              actions={
                <CodeBlockAction>
                  <CopyButton text={curlCommand(serviceURL(), spec, authOn)} label="Copy command" />
                </CodeBlockAction>
              }
            >
              <CodeBlockCode>{curlCommand(serviceURL(), spec, authOn)}</CodeBlockCode>
            </CodeBlock>
            {authOn && (
              <HelperText>
                <HelperTextItem>SANDBOXLABS_TOKEN is an API token. Create one on the account page.</HelperTextItem>
              </HelperText>
            )}
          </ExpandableSection>

          {create.error && <ProblemAlert title="Couldn't create the node" error={create.error} />}
          <ActionGroup className="sl-form__actions">
            <Button
              icon={<TerminalIcon />}
              isDisabled={!isReady || create.isPending || opening}
              isLoading={create.isPending || opening}
              onClick={() => void submit(true)}
            >
              Create and open console
            </Button>
            <Button type="submit" variant="secondary" isDisabled={!isReady || create.isPending || opening}>
              Create
            </Button>
            <Button variant="link" onClick={() => void navigate(paths.nodes)}>
              Cancel
            </Button>
          </ActionGroup>
        </Form>
      </PageSection>
    </>
  );
}

/** Merges the field errors of the service with those of the form's own checks. */
function withServerProblems(problems: DraftProblems, error: unknown): DraftProblems {
  if (!(error instanceof RequestError)) {
    return problems;
  }
  const { fields } = error;
  const [, sshKeys] = Object.entries(fields).find(([field]) => field.startsWith("cloudInit.sshKeys")) ?? [];
  return {
    name: problems.name || (fields.name ?? ""),
    ram: problems.ram || (fields["resources.ram"] ?? ""),
    cpus: problems.cpus || (fields["resources.cpus"] ?? ""),
    disk: problems.disk || (fields["resources.disk"] ?? ""),
    hostname: problems.hostname || (fields["cloudInit.hostname"] ?? ""),
    sshKeys: problems.sshKeys || (sshKeys ?? ""),
    userData: problems.userData || (fields["cloudInit.userData"] ?? ""),
    vendorData: problems.vendorData || (fields["cloudInit.vendorData"] ?? ""),
  };
}
