import { Badge, EmptyState, EmptyStateBody, PageSection, Skeleton, Title } from "@patternfly/react-core";
import CubeIcon from "@patternfly/react-icons/dist/esm/icons/cube-icon";

import type { Image } from "../../shared/api/types";
import { PageHeader } from "../../shared/ui/PageHeader";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { UploadPanel } from "./UploadPanel";
import { useImages } from "./api/listImages";
import { ImagesTable } from "./components/ImagesTable";

/** All images, and the way to bring new ones. */
export default function ImagesPage() {
  const images = useImages();
  return (
    <>
      <PageHeader title="Images" description="Disks that nodes are made from. A node writes to an overlay of its own: its image never changes." />
      <PageSection aria-label="Upload">
        <UploadPanel />
      </PageSection>
      <PageSection isFilled aria-label="List of images">
        {images.error && (
          <ProblemAlert
            title="The images cannot be listed"
            error={images.error}
            onRetry={() => void images.refetch()}
          />
        )}
        {images.isPending && <Skeleton height="8rem" screenreaderText="Loading" />}
        {images.data && (
          <>
            <ImageSection
              title="Custom images"
              images={images.data.customImages}
              empty="Upload a disk above, and make as many nodes from it as you like."
            />
            <ImageSection
              title="Base images"
              images={images.data.baseImages}
              empty="On the server, sandboxlabs image add --base NAME FILE adds one."
            />
          </>
        )}
      </PageSection>
    </>
  );
}

interface ImageSectionProps {
  title: string;
  images: readonly Image[];
  /** What to do when there is none. */
  empty: string;
}

function ImageSection({ title, images, empty }: ImageSectionProps) {
  const sorted = [...images].sort((a, b) => b.created.localeCompare(a.created) || a.name.localeCompare(b.name));
  return (
    <section className="sl-section" aria-label={title}>
      <Title headingLevel="h2" size="lg">
        {title} {images.length > 0 && <Badge isRead>{images.length}</Badge>}
      </Title>
      {sorted.length > 0 ? (
        <ImagesTable label={title} images={sorted} />
      ) : (
        <EmptyState variant="xs" headingLevel="h3" icon={CubeIcon} titleText={`No ${title.toLowerCase()} yet`}>
          <EmptyStateBody>{empty}</EmptyStateBody>
        </EmptyState>
      )}
    </section>
  );
}
