import {
  Button,
  EmptyState,
  EmptyStateBody,
  Label,
  type LabelProps,
  PageSection,
  Skeleton,
  ToggleGroup,
  ToggleGroupItem,
  Toolbar,
  ToolbarContent,
  ToolbarItem,
} from "@patternfly/react-core";
import TasksIcon from "@patternfly/react-icons/dist/esm/icons/tasks-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { Link, useSearchParams } from "react-router";

import type { Job } from "../../shared/api/types";
import { formatDuration } from "../../shared/format";
import { JobProgress } from "../../shared/jobs/JobProgress";
import { useJobPages } from "../../shared/jobs/jobs";
import { isOver, jobTitle } from "../../shared/jobs/liveJobs";
import { paths } from "../../shared/paths";
import { Ago } from "../../shared/ui/Ago";
import { PageHeader } from "../../shared/ui/PageHeader";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";

const filters = [
  { value: "all", text: "All", fits: () => true },
  { value: "active", text: "Active", fits: (job: Job) => !isOver(job) },
  { value: "succeeded", text: "Succeeded", fits: ({ state }: Job) => state === "succeeded" },
  { value: "failed", text: "Failed", fits: ({ state }: Job) => state === "failed" },
  { value: "cancelled", text: "Cancelled", fits: ({ state }: Job) => state === "cancelled" },
] as const;

/** The jobs, live, with the filter in the URL. */
export default function JobsPage({ isAdmin }: { isAdmin: boolean }) {
  const list = useJobPages();
  const [params, setParams] = useSearchParams();
  const filter = filters.find(({ value }) => value === params.get("state")) ?? filters[0];
  const jobs = list.data?.pages.flatMap((page) => page.jobs);
  const found = jobs?.filter(filter.fits);
  return (
    <>
      <PageHeader
        title="Jobs"
        description={`${isAdmin ? "Background jobs of all users" : "Your background jobs"}. Finished jobs are kept for 30 days.`}
      />
      <PageSection isFilled aria-label="List of jobs">
        {list.error && (
          <ProblemAlert title="Couldn't load the jobs" error={list.error} onRetry={() => void list.refetch()} />
        )}
        {list.isPending && <Skeleton height="8rem" screenreaderText="Loading" />}
        {jobs && found && (
          <>
            <Toolbar inset={{ default: "insetNone" }}>
              <ToolbarContent>
                <ToolbarItem>
                  <ToggleGroup aria-label="State" isCompact className="sl-toggles">
                    {filters.map(({ value, text, fits }) => (
                      <ToggleGroupItem
                        key={value}
                        buttonId={`jobs-${value}`}
                        text={`${text} ${jobs.filter(fits).length}`}
                        isSelected={filter.value === value}
                        onChange={() => setParams(value === "all" ? {} : { state: value }, { replace: true })}
                      />
                    ))}
                  </ToggleGroup>
                </ToolbarItem>
              </ToolbarContent>
            </Toolbar>
            {found.length > 0 ? (
              <JobsTable jobs={found} />
            ) : (
              <EmptyState
                variant="sm"
                headingLevel="h2"
                icon={TasksIcon}
                titleText={jobs.length > 0 ? "No matches" : "No jobs yet"}
              >
                <EmptyStateBody>For example, pulling an image creates a job.</EmptyStateBody>
              </EmptyState>
            )}
            {list.hasNextPage && (
              <Button
                variant="link"
                isLoading={list.isFetchingNextPage}
                isDisabled={list.isFetchingNextPage}
                onClick={() => void list.fetchNextPage()}
              >
                Show older jobs
              </Button>
            )}
          </>
        )}
      </PageSection>
    </>
  );
}

const colors: Record<Job["state"], NonNullable<LabelProps["color"]>> = {
  queued: "grey",
  running: "blue",
  cancelling: "orange",
  succeeded: "green",
  failed: "red",
  cancelled: "grey",
};

function JobsTable({ jobs }: { jobs: readonly Job[] }) {
  return (
    <Table aria-label="Jobs" variant="compact" gridBreakPoint="grid-md" className="sl-table">
      <Thead>
        <Tr>
          <Th width={20}>Job</Th>
          <Th>State</Th>
          <Th width={35}>Progress</Th>
          <Th>Owner</Th>
          <Th modifier="nowrap">Started</Th>
        </Tr>
      </Thead>
      <Tbody>
        {jobs.map((job) => (
          <Tr key={job.id} data-job-row={job.id}>
            <Td dataLabel="Job" modifier="breakWord">
              {jobTitle(job)}
              <div className="sl-subtle">
                {/* An account that is being deleted has no page. */}
                {job.target.type === "user" ? (
                  job.target.id
                ) : (
                  <Link to={paths[job.target.type](job.target.id)}>{job.target.id}</Link>
                )}
                {job.target.host && ` on ${job.target.host}`}
              </div>
            </Td>
            <Td dataLabel="State">
              <Label isCompact color={colors[job.state]} data-job-state={job.state}>
                {job.state}
              </Label>
            </Td>
            <Td dataLabel="Progress" modifier="breakWord">
              {isOver(job) ? <Outcome job={job} /> : <JobProgress job={job} title={jobTitle(job)} />}
            </Td>
            <Td dataLabel="Owner">{job.owner || "–"}</Td>
            <Td dataLabel="Started" modifier="nowrap">
              <Ago time={job.started ?? job.created} />
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}

function Outcome({ job: { error, state, started, finished } }: { job: Job }) {
  if (error && state === "failed") {
    return <span className="sl-subtle">{error.detail}</span>;
  }
  const seconds = started && finished ? (Date.parse(finished) - Date.parse(started)) / 1000 : null;
  return <span className="sl-subtle">{seconds === null ? "" : `took ${formatDuration(seconds)}`}</span>;
}
