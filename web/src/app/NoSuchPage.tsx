import { EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter, PageSection } from "@patternfly/react-core";
import SearchIcon from "@patternfly/react-icons/dist/esm/icons/search-icon";

import { paths } from "../shared/paths";
import { LinkButton } from "../shared/ui/LinkButton";
import { usePageTitle } from "../shared/usePageTitle";

/** Stands for addresses at which there is nothing. */
export function NoSuchPage() {
  usePageTitle("No such page");
  return (
    <PageSection isFilled aria-label="No such page">
      <EmptyState headingLevel="h1" icon={SearchIcon} titleText="There is no such page">
        <EmptyStateBody>The address is mistyped, or from another version of SandboxLabs.</EmptyStateBody>
        <EmptyStateFooter>
          <EmptyStateActions>
            <LinkButton variant="primary" to={paths.home}>
              Show the dashboard
            </LinkButton>
          </EmptyStateActions>
        </EmptyStateFooter>
      </EmptyState>
    </PageSection>
  );
}
