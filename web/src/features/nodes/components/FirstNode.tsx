import { Button, EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter } from "@patternfly/react-core";
import RocketIcon from "@patternfly/react-icons/dist/esm/icons/rocket-icon";
import { useNavigate } from "react-router";

import type { Image } from "../../../shared/api/types";
import { paths } from "../../../shared/paths";

/** The image that is part of every installation. */
const shipped = "micro";

/** Helps to create the first node of an installation. */
export function FirstNode({ images }: { images: readonly Image[] }) {
  const navigate = useNavigate();
  const ready = images.filter(({ state }) => state === "ready");
  const image = ready.find(({ id }) => id === shipped) ?? ready[0];
  return (
    <EmptyState
      variant="lg"
      headingLevel="h2"
      icon={RocketIcon}
      titleText={image ? `Create your first node from ${image.displayName || image.name}` : "Add your first image"}
    >
      <EmptyStateBody>
        {image
          ? "A node is a virtual machine, created from an image in milliseconds. Create one and open its console right here in the browser."
          : "Nodes are virtual machines that are created from images. Upload a disk image or pull one from the catalogue."}
      </EmptyStateBody>
      <EmptyStateFooter>
        <EmptyStateActions>
          {image ? (
            <Button size="lg" onClick={() => void navigate(paths.newNodeFrom(image.id))}>
              Create a node from {image.displayName || image.name}
            </Button>
          ) : (
            <Button size="lg" onClick={() => void navigate(paths.images)}>
              Upload image
            </Button>
          )}
        </EmptyStateActions>
        {image && (
          <EmptyStateActions>
            <Button variant="link" onClick={() => void navigate(paths.images)}>
              Use your own image
            </Button>
          </EmptyStateActions>
        )}
      </EmptyStateFooter>
    </EmptyState>
  );
}
