import { Card, CardBody, CardFooter, CardHeader, CardTitle } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { Link } from "react-router";

import type { Image, Job } from "../../../shared/api/types";
import { formatBytes, plural } from "../../../shared/format";
import { JobProgress } from "../../../shared/jobs/JobProgress";
import { isOver, jobOf } from "../../../shared/jobs/liveJobs";
import { paths } from "../../../shared/paths";
import { useIsWide } from "../../../shared/useIsWide";
import { keyOf, titleOf } from "../library";
import { ImageMenu } from "./ImageMenu";
import { ImageStateLabel } from "./ImageStateLabel";
import { ImageTags } from "./ImageTags";

interface ImagesTableProps {
  images: readonly Image[];
  /** The latest jobs; those on these images are shown. */
  jobs: readonly Job[];
  /** Whether there are several hosts, so that each image shows its host. */
  showsHost: boolean;
}

/** Images as a table, or as cards on narrow screens. */
export function ImagesTable({ images, jobs, showsHost }: ImagesTableProps) {
  const isWide = useIsWide();
  const runningOn = ({ id, host }: Image) => {
    const job = jobOf(jobs, "image", id, host);
    return job && !isOver(job) ? job : undefined;
  };
  if (!isWide) {
    return (
      <ul className="sl-cards" aria-label="Images">
        {images.map((image) => (
          <ImageCard key={keyOf(image)} image={image} job={runningOn(image)} showsHost={showsHost} />
        ))}
      </ul>
    );
  }
  return (
    <Table aria-label="Images" variant="compact" gridBreakPoint="" className="sl-table sl-images">
      <Thead>
        <Tr>
          <Th width={40}>Name</Th>
          <Th width={25}>State</Th>
          <Th>File</Th>
          <Th>Disk</Th>
          <Th modifier="nowrap">Used by</Th>
          <Th screenReaderText="Actions" />
        </Tr>
      </Thead>
      <Tbody>
        {images.map((image) => (
          <Tr key={keyOf(image)} data-image={titleOf(image)}>
            <Td dataLabel="Name" modifier="breakWord">
              <ImageName image={image} />
              <About image={image} showsHost={showsHost} />
            </Td>
            <Td dataLabel="State" modifier="breakWord">
              <State image={image} job={runningOn(image)} />
            </Td>
            <Td dataLabel="File" modifier="nowrap">
              {formatBytes(image.size)}
            </Td>
            <Td dataLabel="Disk" modifier="nowrap">
              {image.virtualSize ? formatBytes(image.virtualSize) : "–"}
            </Td>
            <Td dataLabel="Used by" modifier="nowrap">
              {image.usedBy ? plural(image.usedBy, "node") : "–"}
            </Td>
            <Td isActionCell>
              <ImageMenu image={image} place="row" />
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}

function ImageCard({ image, job, showsHost }: { image: Image; job: Job | undefined; showsHost: boolean }) {
  return (
    <Card component="li" isCompact data-image={titleOf(image)}>
      <CardHeader>
        <CardTitle component="h2" className="sl-break">
          <ImageName image={image} />
        </CardTitle>
      </CardHeader>
      <CardBody>
        <State image={image} job={job} />
        <About image={image} showsHost={showsHost} />
        <div className="sl-subtle">
          {[
            formatBytes(image.size),
            image.virtualSize ? `${formatBytes(image.virtualSize)} disk` : "",
            image.usedBy ? `used by ${plural(image.usedBy, "node")}` : "",
          ]
            .filter(Boolean)
            .join(" · ")}
        </div>
      </CardBody>
      <CardFooter>
        <ImageMenu image={image} place="row" />
      </CardFooter>
    </Card>
  );
}

function ImageName({ image }: { image: Image }) {
  return (
    <Link className="sl-name" to={paths.image(image.id)}>
      {titleOf(image)}
    </Link>
  );
}

function State({ image, job }: { image: Image; job: Job | undefined }) {
  return (
    <>
      {job ? <JobProgress job={job} /> : <ImageStateLabel state={image.state} />}
      {image.reason && <div className="sl-subtle">{image.reason}</div>}
    </>
  );
}

/** The details below an image's name. */
function About({ image, showsHost }: { image: Image; showsHost: boolean }) {
  const { name, format, type, owner, host, tags } = image;
  const parts = [
    type === "base" ? "base image" : owner ? `by ${owner}` : "",
    format,
    showsHost ? `on ${host}` : "",
    name === titleOf(image) ? "" : name,
  ];
  return (
    <div className="sl-subtle sl-break">
      {parts.filter(Boolean).join(" · ")} <ImageTags tags={tags} />
    </div>
  );
}
