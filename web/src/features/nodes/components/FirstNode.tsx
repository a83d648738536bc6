import { Button, EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter } from "@patternfly/react-core";
import RocketIcon from "@patternfly/react-icons/dist/esm/icons/rocket-icon";
import { useNavigate } from "react-router";

import type { Image } from "../../../shared/api/types";
import { paths } from "../../../shared/paths";

/** The image that comes with every installation. */
const shipped = "micro";

/** Leads from an installation without nodes to the first one. */
export function FirstNode({ images }: { images: readonly Image[] }) {
  const navigate = useNavigate();
  const ready = images.filter(({ state }) => state === "ready");
  const image = ready.find(({ id }) => id === shipped) ?? ready[0];
  return (
    <EmptyState
      variant="lg"
      headingLevel="h2"
      icon={RocketIcon}
      titleText={image ? `Create your first node from ${image.displayName || image.name}` : "Bring your first image"}
    >
      <EmptyStateBody>
        {image
          ? "A node is a virtual machine, made from an image in milliseconds. Create one and work in its console, right here in the browser."
          : "Nodes are virtual machines made from disk images, and there is no image yet. Upload a qcow2 disk to begin."}
      </EmptyStateBody>
      <EmptyStateFooter>
        <EmptyStateActions>
          {image ? (
            <Button size="lg" onClick={() => void navigate(paths.newNodeFrom(image.id))}>
              Create a node from {image.displayName || image.name}
            </Button>
          ) : (
            <Button size="lg" onClick={() => void navigate(paths.images)}>
              Upload an image
            </Button>
          )}
        </EmptyStateActions>
        {image && (
          <EmptyStateActions>
            <Button variant="link" onClick={() => void navigate(paths.images)}>
              Use an image of your own
            </Button>
          </EmptyStateActions>
        )}
      </EmptyStateFooter>
    </EmptyState>
  );
}
