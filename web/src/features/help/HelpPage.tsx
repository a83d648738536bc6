import {
  Card,
  CardBody,
  CardTitle,
  EmptyState,
  EmptyStateBody,
  PageSection,
  SearchInput,
} from "@patternfly/react-core";
import SearchIcon from "@patternfly/react-icons/dist/esm/icons/search-icon";
import { Link, useSearchParams } from "react-router";

import { paths } from "../../shared/paths";
import { PageHeader } from "../../shared/ui/PageHeader";
import { findHeadings, guides } from "./guides";
import "./help.css";

/** The guides, searchable by their headings. They are part of the service and need no Internet access. */
export default function HelpPage() {
  const [params, setParams] = useSearchParams();
  const search = params.get("q") ?? "";
  const found = findHeadings(guides, search);
  return (
    <>
      <PageHeader title="Help" description="Guides for this version of SandboxLabs." />
      <PageSection isFilled aria-label="Guides">
        <SearchInput
          className="sl-help__search"
          aria-label="Search guides"
          placeholder="Search headings"
          value={search}
          onChange={(_event, value) => setParams(value ? { q: value } : {}, { replace: true })}
          onClear={() => setParams({}, { replace: true })}
        />
        {found.length === 0 ? (
          <EmptyState variant="sm" headingLevel="h2" icon={SearchIcon} titleText="No matches">
            <EmptyStateBody>Try other words.</EmptyStateBody>
          </EmptyState>
        ) : (
          <ul className="sl-cards" aria-label="Guides">
            {found.map(({ name, title, headings }) => (
              <Card key={name} component="li" isCompact data-guide={name}>
                <CardTitle component="h2">
                  <Link className="sl-name" to={paths.help(name)}>
                    {title}
                  </Link>
                </CardTitle>
                <CardBody>
                  <ul className="sl-help__headings" aria-label={title}>
                    {headings.map(({ id, text }) => (
                      <li key={id}>
                        <Link to={paths.help(name, id)}>{text}</Link>
                      </li>
                    ))}
                  </ul>
                </CardBody>
              </Card>
            ))}
          </ul>
        )}
      </PageSection>
    </>
  );
}
