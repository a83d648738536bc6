import { EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter, PageSection } from "@patternfly/react-core";
import SearchIcon from "@patternfly/react-icons/dist/esm/icons/search-icon";

import { paths } from "../shared/paths";
import { LinkButton } from "../shared/ui/LinkButton";
import { usePageTitle } from "../shared/usePageTitle";

/** Shown for unknown addresses. */
export function NotFoundPage() {
  usePageTitle("Page not found");
  return (
    <PageSection isFilled aria-label="Page not found">
      <EmptyState headingLevel="h1" icon={SearchIcon} titleText="Page not found">
        <EmptyStateBody>Check the address.</EmptyStateBody>
        <EmptyStateFooter>
          <EmptyStateActions>
            <LinkButton variant="primary" to={paths.home}>
              Go to dashboard
            </LinkButton>
          </EmptyStateActions>
        </EmptyStateFooter>
      </EmptyState>
    </PageSection>
  );
}
