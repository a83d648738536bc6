import { Content, Flex, FlexItem, PageSection, Title } from "@patternfly/react-core";
import type { ReactNode } from "react";

import { usePageTitle } from "../usePageTitle";

interface PageHeaderProps {
  title: string;
  /** One line below the title. */
  description?: ReactNode;
  /** The state of the page's subject, next to the title. */
  status?: ReactNode;
  actions?: ReactNode;
  /** A separate line below. */
  below?: ReactNode;
}

/** The header of a page: its only h1, and the actions for the whole page. */
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
