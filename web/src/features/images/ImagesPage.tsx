import {
  EmptyState,
  EmptyStateActions,
  EmptyStateBody,
  EmptyStateFooter,
  PageSection,
  SearchInput,
  Skeleton,
  ToggleGroup,
  ToggleGroupItem,
  Toolbar,
  ToolbarContent,
  ToolbarItem,
} from "@patternfly/react-core";
import CubeIcon from "@patternfly/react-icons/dist/esm/icons/cube-icon";
import SearchIcon from "@patternfly/react-icons/dist/esm/icons/search-icon";
import type { ReactNode } from "react";
import { useSearchParams } from "react-router";

import type { Image } from "../../shared/api/types";
import { useJobs } from "../../shared/jobs/jobs";
import { paths } from "../../shared/paths";
import { LinkButton } from "../../shared/ui/LinkButton";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { ImagesHeader } from "./ImagesHeader";
import { UploadPanel } from "./UploadPanel";
import { useImages } from "./api/listImages";
import { ImagesTable } from "./components/ImagesTable";
import { type Shown, findImages, needsAttention, readShown } from "./library";

interface ImagesPageProps {
  /** The free space for images; nothing for users who can't see it. */
  space: ReactNode;
  /** Whether the user may upload and pull images. */
  mayUpload: boolean;
}

/** All images, with an upload area. */
export function ImagesPage({ space, mayUpload }: ImagesPageProps) {
  const images = useImages();
  const all = images.data && [...images.data.customImages, ...images.data.baseImages];
  return (
    <>
      <ImagesHeader />
      <PageSection isFilled aria-label="Library">
        {mayUpload && (
          <div className="sl-images-top">
            <UploadPanel />
            {space}
          </div>
        )}
        {images.error && (
          <ProblemAlert title="Couldn't load the images" error={images.error} onRetry={() => void images.refetch()} />
        )}
        {images.isPending && <Skeleton height="8rem" screenreaderText="Loading" />}
        {all?.length === 0 && (
          <EmptyState variant="sm" headingLevel="h2" icon={CubeIcon} titleText="No images yet">
            <EmptyStateBody>
              {mayUpload
                ? "Drop a disk image above, or pull one from the catalogue. You can create any number of nodes from an image."
                : "Images that are shared with you appear here."}
            </EmptyStateBody>
            {mayUpload && (
              <EmptyStateFooter>
                <EmptyStateActions>
                  <LinkButton variant="primary" to={paths.catalog}>
                    Open catalogue
                  </LinkButton>
                </EmptyStateActions>
              </EmptyStateFooter>
            )}
          </EmptyState>
        )}
        {all && all.length > 0 && <Library images={all} />}
      </PageSection>
    </>
  );
}

const kinds: readonly { value: Shown; text: string; counts: (image: Image) => boolean }[] = [
  { value: "all", text: "All", counts: () => true },
  { value: "custom", text: "Custom", counts: ({ type }) => type === "custom" },
  { value: "base", text: "Base", counts: ({ type }) => type === "base" },
  { value: "attention", text: "Unusable", counts: needsAttention },
];

function Library({ images }: { images: readonly Image[] }) {
  const [params, setParams] = useSearchParams();
  const jobs = useJobs();
  const search = params.get("q") ?? "";
  const shown = readShown(params.get("show"));
  const found = findImages(images, search, shown);
  const setParam = (name: string, value: string) =>
    setParams(
      (previous) => {
        const next = new URLSearchParams(previous);
        if (value === "") {
          next.delete(name);
        } else {
          next.set(name, value);
        }
        return next;
      },
      { replace: true },
    );
  return (
    <>
      <Toolbar inset={{ default: "insetNone" }}>
        <ToolbarContent>
          <ToolbarItem className="sl-search">
            <SearchInput
              aria-label="Search images"
              placeholder="Search images"
              value={search}
              onChange={(_event, value) => setParam("q", value)}
              onClear={() => setParam("q", "")}
            />
          </ToolbarItem>
          <ToolbarItem>
            <ToggleGroup aria-label="Kind" isCompact className="sl-toggles">
              {kinds
                .filter(({ value, counts }) => value !== "attention" || shown === "attention" || images.some(counts))
                .map(({ value, text, counts }) => (
                  <ToggleGroupItem
                    key={value}
                    buttonId={`kind-${value}`}
                    text={`${text} ${images.filter(counts).length}`}
                    isSelected={shown === value}
                    onChange={() => setParam("show", value === "all" ? "" : value)}
                  />
                ))}
            </ToggleGroup>
          </ToolbarItem>
        </ToolbarContent>
      </Toolbar>
      {found.length === 0 ? (
        <EmptyState variant="sm" headingLevel="h2" icon={SearchIcon} titleText="No matches">
          <EmptyStateBody>Clear the search to see all images.</EmptyStateBody>
        </EmptyState>
      ) : (
        <ImagesTable images={found} jobs={jobs} showsHost={new Set(images.map(({ host }) => host)).size > 1} />
      )}
    </>
  );
}
