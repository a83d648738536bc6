import { Button, EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter } from "@patternfly/react-core";
import ExclamationCircleIcon from "@patternfly/react-icons/dist/esm/icons/exclamation-circle-icon";
import { Component, type ReactNode } from "react";

import { atBase } from "../shared/base";
import { paths } from "../shared/paths";

interface CrashBoundaryState {
  hasCrashed: boolean;
}

/** Shows what to do after an uncaught error; the browser console has the details. */
export class CrashBoundary extends Component<{ children: ReactNode }, CrashBoundaryState> {
  override state: CrashBoundaryState = { hasCrashed: false };

  static getDerivedStateFromError(): CrashBoundaryState {
    return { hasCrashed: true };
  }

  override render(): ReactNode {
    return this.state.hasCrashed ? <CrashPage /> : this.props.children;
  }
}

function CrashPage() {
  return (
    <main className="sl-login">
      <EmptyState headingLevel="h1" status="danger" icon={ExclamationCircleIcon} titleText="Something went wrong">
        <EmptyStateBody>
          Nodes and images are not touched by it. Reload the page; if it fails again, go to the nodes, and report what
          the browser&apos;s console shows.
        </EmptyStateBody>
        <EmptyStateFooter>
          <EmptyStateActions>
            <Button onClick={() => location.reload()}>Reload</Button>
            <Button variant="link" component="a" href={atBase(paths.nodes)}>
              View all nodes
            </Button>
          </EmptyStateActions>
        </EmptyStateFooter>
      </EmptyState>
    </main>
  );
}
