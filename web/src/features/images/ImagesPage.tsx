import { EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter, PageSection, SearchInput, Skeleton, ToggleGroup, ToggleGroupItem, Toolbar, ToolbarContent, ToolbarItem } from "@patternfly/react-core";
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
  /** How much room there is for images; nothing for those who may not know. */
  room: ReactNode;
  /** Whether the user may bring images. */
  mayUpload: boolean;
}

/** All images, and the way to bring new ones. */
export function ImagesPage({ room, mayUpload }: ImagesPageProps) {
  const images = useImages();
  const all = images.data && [...images.data.customImages, ...images.data.baseImages];
  return (
    <>
      <ImagesHeader />
      <PageSection isFilled aria-label="Library">
        {mayUpload && (
          <div className="sl-images-top">
            <UploadPanel />
            {room}
          </div>
        )}
        {images.error && (
          <ProblemAlert title="The images cannot be listed" error={images.error} onRetry={() => void images.refetch()} />
        )}
        {images.isPending && <Skeleton height="8rem" screenreaderText="Loading" />}
        {all?.length === 0 && (
          <EmptyState variant="sm" headingLevel="h2" icon={CubeIcon} titleText="No images yet">
            <EmptyStateBody>
              {mayUpload
                ? "Drop a disk above, or pull one from the catalogue, and make as many nodes from it as you like."
                : "No image is shared with you yet."}
            </EmptyStateBody>
            {mayUpload && (
              <EmptyStateFooter>
                <EmptyStateActions>
                  <LinkButton variant="primary" to={paths.catalog}>
                    Open the catalogue
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
              placeholder="Name, tag, owner or host"
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
        <EmptyState variant="sm" headingLevel="h2" icon={SearchIcon} titleText="No image fits">
          <EmptyStateBody>No image has this text and kind.</EmptyStateBody>
        </EmptyState>
      ) : (
        <ImagesTable images={found} jobs={jobs} showsHost={new Set(images.map(({ host }) => host)).size > 1} />
      )}
    </>
  );
}
