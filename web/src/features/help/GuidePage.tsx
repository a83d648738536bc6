import { Content, EmptyState, EmptyStateBody, PageSection, Skeleton } from "@patternfly/react-core";
import BookOpenIcon from "@patternfly/react-icons/dist/esm/icons/book-open-icon";
import { useQuery } from "@tanstack/react-query";
import { type MouseEvent, useEffect, useRef } from "react";
import { Link, useLocation, useNavigate, useParams } from "react-router";

import { paths } from "../../shared/paths";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { usePageTitle } from "../../shared/usePageTitle";
import { loadGuide } from "./guides";
import "./help.css";
import type { Guide } from "./outline";

/** One guide, with links to its headings. */
export default function GuidePage() {
  const { name = "" } = useParams();
  const guide = useQuery({ queryKey: ["guide", name], queryFn: () => loadGuide(name) });
  usePageTitle(guide.data?.title ?? "Help");
  return (
    <PageSection isFilled aria-label="Guide">
      <p className="sl-help__back">
        <Link to={paths.help()}>All guides</Link>
      </p>
      {guide.isPending && <Skeleton height="8rem" screenreaderText="Loading" />}
      {guide.error && (
        <ProblemAlert title="Couldn't load the guide" error={guide.error} onRetry={() => void guide.refetch()} />
      )}
      {guide.data === null && (
        <EmptyState headingLevel="h1" icon={BookOpenIcon} titleText="Guide not found">
          <EmptyStateBody>Check the address.</EmptyStateBody>
        </EmptyState>
      )}
      {guide.data && <Text guide={guide.data} />}
    </PageSection>
  );
}

function Text({ guide }: { guide: Guide }) {
  const article = useRef<HTMLDivElement>(null);
  const { hash } = useLocation();
  const navigate = useNavigate();
  useEffect(() => {
    const heading =
      hash === "" ? null : article.current?.querySelector(`[id="${CSS.escape(decodeURIComponent(hash.slice(1)))}"]`);
    heading?.scrollIntoView();
  }, [hash, guide]);
  const follow = (event: MouseEvent) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    const to = link?.getAttribute("href") ?? "";
    if ((to.startsWith("/help") || to.startsWith("#")) && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      void navigate(to);
    }
  };
  return (
    <div className="sl-guide">
      <nav aria-label="In this guide" className="sl-guide__contents">
        <ul>
          {guide.headings
            .filter(({ level }) => level === 2)
            .map(({ id, text }) => (
              <li key={id}>
                <Link to={`#${id}`}>{text}</Link>
              </li>
            ))}
        </ul>
      </nav>
      {/* Generated from the repository's docs when the UI is built. */}
      <Content className="sl-guide__text" onClick={follow}>
        <div ref={article} dangerouslySetInnerHTML={{ __html: guide.html }} />
      </Content>
    </div>
  );
}
