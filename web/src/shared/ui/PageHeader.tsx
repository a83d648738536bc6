import { Content, Flex, FlexItem, PageSection, Title } from "@patternfly/react-core";
import type { ReactNode } from "react";

import { usePageTitle } from "../usePageTitle";

interface PageHeaderProps {
  title: string;
  /** One line below the title. */
  description?: ReactNode;
  /** Beside the title: the state of what the page shows. */
  status?: ReactNode;
  actions?: ReactNode;
  /** A line of its own below all that. */
  below?: ReactNode;
}

/** The top of a page: its one h1, and what may be done with it as a whole. */
export function PageHeader({ title, description, status, actions, below }: PageHeaderProps) {
  usePageTitle(title);
  return (
    <PageSection>
      <Flex
        justifyContent={{ default: "justifyContentSpaceBetween" }}
        alignItems={{ default: "alignItemsCenter" }}
        rowGap={{ default: "rowGapMd" }}
      >
        <FlexItem className="sl-page-title">
          <Flex columnGap={{ default: "columnGapMd" }} alignItems={{ default: "alignItemsCenter" }}>
            <Title headingLevel="h1" size="2xl">
              {title}
            </Title>
            {status}
          </Flex>
          {description && <Content component="small">{description}</Content>}
        </FlexItem>
        {actions && <FlexItem>{actions}</FlexItem>}
      </Flex>
      {below}
    </PageSection>
  );
}
