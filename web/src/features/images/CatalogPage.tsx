import {
  Alert,
  Button,
  Card,
  CardBody,
  CardFooter,
  CardHeader,
  CardTitle,
  FormSelect,
  FormSelectOption,
  Label,
  PageSection,
  Skeleton,
  Toolbar,
  ToolbarContent,
  ToolbarItem,
} from "@patternfly/react-core";
import DownloadIcon from "@patternfly/react-icons/dist/esm/icons/download-icon";
import { useQueryClient } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { useSearchParams } from "react-router";

import type { CatalogEntry, Image, Job } from "../../shared/api/types";
import { formatBytes, formatRAM } from "../../shared/format";
import { JobProgress } from "../../shared/jobs/JobProgress";
import { useJobs } from "../../shared/jobs/jobs";
import { isOver, jobOf } from "../../shared/jobs/liveJobs";
import { paths } from "../../shared/paths";
import { LinkButton } from "../../shared/ui/LinkButton";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { useToasts } from "../../shared/ui/toasts";
import { ImagesHeader } from "./ImagesHeader";
import { useCatalog, usePull } from "./api/catalog";
import { useImages } from "./api/listImages";
import { ImageStateLabel } from "./components/ImageStateLabel";

interface CatalogPageProps {
  /** The free space for images; nothing for users who can't see it. */
  space: ReactNode;
  /** Names of the hosts. */
  hosts: readonly string[];
  /** Whether the user may pull images. */
  mayPull: boolean;
}

/** The base images that can be pulled with one click. */
export function CatalogPage({ space, hosts, mayPull }: CatalogPageProps) {
  const [params, setParams] = useSearchParams();
  const host = params.get("host") ?? hosts[0] ?? "";
  const catalog = useCatalog(host);
  const images = useImages();
  const jobs = useJobs();
  const inPool = (id: string) =>
    images.data?.baseImages.find((image) => image.id === id && (host === "" || image.host === host));
  return (
    <>
      <ImagesHeader />
      <PageSection isFilled aria-label="Catalogue">
        {space}
        {hosts.length > 1 && (
          <Toolbar inset={{ default: "insetNone" }}>
            <ToolbarContent>
              <ToolbarItem>
                <FormSelect
                  aria-label="Host to pull to"
                  value={host}
                  onChange={(_event, value) => setParams({ host: value }, { replace: true })}
                >
                  {hosts.map((name) => (
                    <FormSelectOption key={name} value={name} label={`to ${name}`} />
                  ))}
                </FormSelect>
              </ToolbarItem>
            </ToolbarContent>
          </Toolbar>
        )}
        {catalog.error && (
          <ProblemAlert
            title="Couldn't load the catalogue"
            error={catalog.error}
            onRetry={() => void catalog.refetch()}
          />
        )}
        {catalog.isPending && <Skeleton height="8rem" screenreaderText="Loading" />}
        <ul className="sl-cards sl-catalog" aria-label="Catalogue">
          {catalog.data?.map((entry) => (
            <EntryCard
              key={entry.id}
              entry={entry}
              image={inPool(entry.id)}
              job={jobOf(jobs, "image", entry.id, host) ?? entry.job}
              host={host}
              mayPull={mayPull}
            />
          ))}
        </ul>
      </PageSection>
    </>
  );
}

interface EntryCardProps {
  entry: CatalogEntry;
  /** The image in the pool, if there is one. */
  image: Image | undefined;
  /** Its latest job. */
  job: Job | undefined;
  host: string;
  mayPull: boolean;
}

function EntryCard({ entry, image, job, host, mayPull }: EntryCardProps) {
  const pull = usePull(host);
  const queries = useQueryClient();
  const toasts = useToasts();
  const isPulling = job !== undefined && !isOver(job);
  const isThere = image !== undefined && image.state !== "rejected";
  return (
    <Card component="li" data-catalog={entry.id}>
      <CardHeader
        {...(image && !isPulling
          ? { actions: { actions: <ImageStateLabel state={image.state} />, hasNoOffset: true } }
          : {})}
      >
        <CardTitle component="h2">{entry.name}</CardTitle>
      </CardHeader>
      <CardBody>
        <p>{entry.description}</p>
        <div className="sl-image-tags sl-catalog__facts">
          <Label isCompact variant="outline">
            {entry.version}
          </Label>
          <Label isCompact variant="outline">
            {entry.format === "iso" ? "ISO" : entry.arch}
          </Label>
          <Label isCompact variant="outline">{`Min. ${formatRAM(entry.minRam)} RAM`}</Label>
          <Label isCompact variant="outline">{`Min. ${formatBytes(entry.minDiskBytes)} disk`}</Label>
          {entry.defaultUser && <Label isCompact variant="outline">{`Login: ${entry.defaultUser}`}</Label>}
        </div>
      </CardBody>
      <CardFooter className="sl-catalog__footer">
        {isPulling && <JobProgress job={job} title={`Pull ${entry.name}`} />}
        {!isPulling && !isThere && job?.state === "failed" && job.error && (
          <Alert isInline variant="danger" title="Pull failed">
            {job.error.detail}
          </Alert>
        )}
        {!isPulling && isThere && image.state === "ready" && image.access !== "view" && (
          <LinkButton
            variant="secondary"
            to={paths.newNodeFrom(entry.id)}
            aria-label={`Create node from ${entry.name}`}
          >
            Create node
          </LinkButton>
        )}
        {!isPulling && !isThere && mayPull && entry.source && (
          <Button
            variant="secondary"
            icon={<DownloadIcon />}
            isLoading={pull.isPending}
            isDisabled={pull.isPending}
            aria-label={`Pull ${entry.name}`}
            onClick={() =>
              pull.mutate(entry.id, {
                onError: (error) => toasts.failure(`Couldn't pull ${entry.name}`, error),
                onSettled: () => void queries.invalidateQueries({ queryKey: ["catalog"] }),
              })
            }
          >
            Pull
          </Button>
        )}
        {!isThere && !entry.source && <span className="sl-subtle">Built during set-up; can't be pulled.</span>}
        {entry.source && (
          <div className="sl-subtle sl-break">{`${new URL(entry.source).host}${entry.signed ? ", signed" : ""}`}</div>
        )}
      </CardFooter>
    </Card>
  );
}
