import {
  Alert,
  Card,
  CardBody,
  CardTitle,
  DescriptionList,
  DescriptionListDescription,
  DescriptionListGroup,
  DescriptionListTerm,
  EmptyState,
  EmptyStateBody,
  PageSection,
  Skeleton,
} from "@patternfly/react-core";
import CubeIcon from "@patternfly/react-icons/dist/esm/icons/cube-icon";
import type { ReactNode } from "react";
import { Link, useParams } from "react-router";

import type { Image } from "../../shared/api/types";
import { formatBytes, formatTime, plural } from "../../shared/format";
import { JobProgress } from "../../shared/jobs/JobProgress";
import { useJobs } from "../../shared/jobs/jobs";
import { isOver, jobOf, jobTitle } from "../../shared/jobs/liveJobs";
import { firmwareNames } from "../../shared/firmware";
import { paths } from "../../shared/paths";
import { SharingPanel } from "../../shared/sharing/SharingPanel";
import { CopyButton } from "../../shared/ui/CopyButton";
import { PageHeader } from "../../shared/ui/PageHeader";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { useImageUsers } from "./api/editImage";
import { useImages } from "./api/listImages";
import { Digest } from "./components/Digest";
import { ImageMenu } from "./components/ImageMenu";
import { ImageStateLabel } from "./components/ImageStateLabel";
import { ImageTags } from "./components/ImageTags";
import "./images.css";
import { keyOf, titleOf } from "./library";

/** One image: its state, its file, the nodes that use it, and its shares. */
export default function ImagePage() {
  const { id = "" } = useParams();
  const images = useImages();
  const found =
    images.data && [...images.data.customImages, ...images.data.baseImages].filter((image) => image.id === id);
  const [first] = found ?? [];
  if (!first) {
    return (
      <>
        <PageHeader title={id} />
        <PageSection isFilled aria-label={id}>
          {images.error && (
            <ProblemAlert title="Couldn't load the image" error={images.error} onRetry={() => void images.refetch()} />
          )}
          {images.isPending && <Skeleton height="8rem" screenreaderText="Loading" />}
          {found && (
            <EmptyState headingLevel="h2" icon={CubeIcon} titleText="Image not found">
              <EmptyStateBody>
                It may have been deleted, or isn't shared with you. <Link to={paths.images}>View all images</Link>
              </EmptyStateBody>
            </EmptyState>
          )}
        </PageSection>
      </>
    );
  }
  return (
    <>
      <PageHeader
        title={titleOf(first)}
        status={<ImageStateLabel state={first.state} />}
        description={first.description || undefined}
        actions={<ImageMenu image={first} place="page" />}
        below={<ImageTags tags={first.tags} />}
      />
      <PageSection isFilled aria-label={titleOf(first)}>
        {found?.map((image) => (
          <Details key={keyOf(image)} image={image} />
        ))}
      </PageSection>
    </>
  );
}

function Details({ image }: { image: Image }) {
  const job = jobOf(useJobs(), "image", image.id, image.host);
  return (
    <div className="sl-image-page">
      {image.reason && (
        <Alert
          isInline
          variant={image.state === "rejected" ? "danger" : "warning"}
          title="Unusable"
          className="sl-image-page__wide"
        >
          {image.reason}
        </Alert>
      )}
      {job && !isOver(job) && (
        <div className="sl-image-page__wide">
          <JobProgress job={job} />
        </div>
      )}
      {job?.state === "failed" && job.error && (
        <Alert isInline variant="danger" title={`${jobTitle(job)} failed`} className="sl-image-page__wide">
          {job.error.detail}
        </Alert>
      )}
      <Card>
        <CardTitle component="h2">File</CardTitle>
        <CardBody>
          <DescriptionList isCompact isHorizontal horizontalTermWidthModifier={{ default: "10ch" }}>
            <Fact term="ID" value={<Copyable text={image.id} label="Copy the ID" />} />
            <Fact term="Kind" value={image.type === "base" ? "Base image, for all users" : "Custom image"} />
            <Fact
              term="Format"
              value={
                image.sourceFormat && image.sourceFormat !== image.format
                  ? `${image.format}, converted from ${image.sourceFormat}`
                  : image.format
              }
            />
            <Fact term="File" value={formatBytes(image.size)} />
            <Fact term="Disk" value={image.virtualSize > 0 && formatBytes(image.virtualSize)} />
            <Fact term="Operating system" value={image.osType} />
            <Fact term="Firmware" value={image.firmware && firmwareNames[image.firmware]} />
            <Fact term="TPM" value={image.tpm && "2.0"} />
            <Fact term="SHA-256" value={image.sha256 && <Digest image={image} isWhole />} />
            <Fact term="Host" value={image.host} />
            <Fact term="Path" value={<Copyable text={image.path} label="Copy the path" />} />
            <Fact term="Owner" value={image.owner} />
            <Fact term="Added" value={formatTime(image.created)} />
          </DescriptionList>
        </CardBody>
      </Card>
      <div className="sl-loading">
        <UsedBy image={image} />
        {image.access === "manage" && image.type === "custom" && (
          <Card>
            <CardTitle component="h2">Sharing</CardTitle>
            <CardBody>
              <SharingPanel kind="images" id={image.id} means={{ view: "View only", use: "Create nodes" }} />
            </CardBody>
          </Card>
        )}
      </div>
    </div>
  );
}

function UsedBy({ image }: { image: Image }) {
  const users = useImageUsers(image);
  return (
    <Card>
      <CardTitle component="h2">Used by</CardTitle>
      <CardBody>
        {users.error && (
          <ProblemAlert
            title="Couldn't load what uses this image"
            error={users.error}
            onRetry={() => void users.refetch()}
          />
        )}
        {users.isPending && <Skeleton screenreaderText="Loading" />}
        {users.data && (
          <>
            {users.data.nodes.length + users.data.others + users.data.volumes.length === 0 && (
              <p className="sl-subtle">Not in use.</p>
            )}
            <ul className="sl-image-users" aria-label="Used by">
              {users.data.nodes.map((node) => (
                <li key={node.id}>
                  <Link to={paths.node(node.id)}>{node.name}</Link>
                </li>
              ))}
              {users.data.others > 0 && (
                <li className="sl-subtle">{plural(users.data.others, "node")} of other users</li>
              )}
              {users.data.volumes.map((volume) => (
                <li key={volume.path} className="sl-break">
                  <code>{volume.path}</code> <span className="sl-subtle">orphaned disk in {volume.pool}</span>
                </li>
              ))}
            </ul>
          </>
        )}
      </CardBody>
    </Card>
  );
}

function Copyable({ text, label }: { text: string; label: string }) {
  return text ? (
    <span className="sl-copyable">
      <code className="sl-break">{text}</code>
      <CopyButton text={text} label={label} />
    </span>
  ) : null;
}

function Fact({ term, value }: { term: string; value: ReactNode }) {
  return value ? (
    <DescriptionListGroup>
      <DescriptionListTerm>{term}</DescriptionListTerm>
      <DescriptionListDescription className="sl-break">{value}</DescriptionListDescription>
    </DescriptionListGroup>
  ) : null;
}
