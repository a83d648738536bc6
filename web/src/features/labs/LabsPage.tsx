import {
  Button,
  Card,
  CardBody,
  CardFooter,
  CardTitle,
  EmptyState,
  EmptyStateActions,
  EmptyStateBody,
  EmptyStateFooter,
  Flex,
  PageSection,
  Skeleton,
} from "@patternfly/react-core";
import PlusIcon from "@patternfly/react-icons/dist/esm/icons/plus-icon";
import TopologyIcon from "@patternfly/react-icons/dist/esm/icons/topology-icon";
import UploadIcon from "@patternfly/react-icons/dist/esm/icons/upload-icon";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useCallback, useRef, useState } from "react";
import { Link, useNavigate } from "react-router";

import type { Job, LabSummary } from "../../shared/api/types";
import { plural } from "../../shared/format";
import { paths } from "../../shared/paths";
import { Ago } from "../../shared/ui/Ago";
import { PageHeader } from "../../shared/ui/PageHeader";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { useToasts } from "../../shared/ui/toasts";
import { createLab } from "./api/changeLab";
import { useImportLab } from "./api/importLab";
import { labsKey, useLabs } from "./api/labs";
import { ImportDialog } from "./components/ImportDialog";
import { NameDialog } from "./components/NameDialog";
import { readLabFile } from "./labFile";
import "./labs.css";

/** The labs that the user can see, with buttons to create and import labs. */
export function LabsPage({ mayCreate }: { mayCreate: boolean }) {
  const labs = useLabs();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const toasts = useToasts();
  const [isNaming, setNaming] = useState(false);
  const [started, setStarted] = useState<Job | null>(null);
  const input = useRef<HTMLInputElement>(null);
  const create = useMutation({
    mutationFn: createLab,
    onSuccess: async (lab) => {
      await queries.invalidateQueries({ queryKey: labsKey });
      await navigate(paths.lab(lab.id));
    },
  });

  const importing = useImportLab();

  const closeImport = useCallback(() => setStarted(null), []);
  const openImported = useCallback(
    (lab: string) => {
      toasts.success("Lab imported");
      void navigate(paths.lab(lab));
    },
    [toasts, navigate],
  );
  const take = async (file: File | undefined) => {
    if (!file) {
      return;
    }
    try {
      setStarted(await importing.mutateAsync(await readLabFile(file)));
    } catch (error) {
      toasts.failure(`Couldn't import ${file.name}`, error);
    }
  };
  const actions = mayCreate && (
    <Flex columnGap={{ default: "columnGapSm" }}>
      <Button
        variant="secondary"
        icon={<UploadIcon />}
        isDisabled={importing.isPending}
        isLoading={importing.isPending}
        onClick={() => input.current?.click()}
      >
        Import
      </Button>
      <Button icon={<PlusIcon />} onClick={() => setNaming(true)}>
        Create lab
      </Button>
    </Flex>
  );
  return (
    <>
      <PageHeader
        title="Labs"
        description="Virtual networks of nodes."
        actions={labs.data?.length ? actions : undefined}
      />
      <PageSection isFilled aria-label="List of labs">
        {labs.error && (
          <ProblemAlert title="Couldn't load the labs" error={labs.error} onRetry={() => void labs.refetch()} />
        )}
        {labs.isPending && <Skeleton height="8rem" screenreaderText="Loading the labs" />}
        {labs.data?.length === 0 && (
          <EmptyState headingLevel="h2" icon={TopologyIcon} titleText="No labs yet">
            <EmptyStateBody>
              {mayCreate
                ? "Place nodes on a canvas, connect them and start them together."
                : "Labs that are shared with you appear here."}
            </EmptyStateBody>
            {mayCreate && (
              <EmptyStateFooter>
                <EmptyStateActions>{actions}</EmptyStateActions>
              </EmptyStateFooter>
            )}
          </EmptyState>
        )}
        {labs.data && labs.data.length > 0 && (
          <ul className="sl-labs" aria-label="Labs">
            {labs.data.map((lab) => (
              <LabCard key={lab.id} lab={lab} />
            ))}
          </ul>
        )}
      </PageSection>
      <input
        ref={input}
        hidden
        type="file"
        accept=".json,application/json"
        aria-label="Lab to import"
        onChange={(event) => {
          void take(event.target.files?.[0]);
          event.target.value = ""; // allows selecting the same file again
        }}
      />
      {isNaming && (
        <NameDialog
          title="Create lab"
          action="Create"
          pending={create.isPending}
          error={create.error}
          onName={(name) => create.mutate(name)}
          onClose={() => {
            create.reset();
            setNaming(false);
          }}
        />
      )}
      {started && <ImportDialog started={started} onDone={openImported} onClose={closeImport} />}
    </>
  );
}

function LabCard({ lab }: { lab: LabSummary }) {
  return (
    <Card component="li" data-lab={lab.name}>
      <CardTitle component="h2" className="sl-break">
        <Link className="sl-name" to={paths.lab(lab.id)}>
          {lab.name}
        </Link>
      </CardTitle>
      <CardBody>
        {[
          lab.nodes === 0 ? "No nodes yet" : plural(lab.nodes, "node"),
          ...(lab.nodes === 0 ? [] : [lab.running === 0 ? "all stopped" : `${lab.running} running`]),
          ...(lab.networks === 0 ? [] : [plural(lab.networks, "network")]),
        ].join(" · ")}
      </CardBody>
      <CardFooter className="sl-subtle">
        {lab.owner} · created <Ago time={lab.created} />
      </CardFooter>
    </Card>
  );
}
