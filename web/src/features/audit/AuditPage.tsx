import {
  Button,
  EmptyState,
  EmptyStateBody,
  Form,
  FormGroup,
  Label,
  PageSection,
  Skeleton,
  TextInput,
} from "@patternfly/react-core";
import DownloadIcon from "@patternfly/react-icons/dist/esm/icons/download-icon";
import SearchIcon from "@patternfly/react-icons/dist/esm/icons/search-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useState } from "react";
import { useSearchParams } from "react-router";

import type { AuditEntry } from "../../shared/api/types";
import { formatTime } from "../../shared/format";
import { PageHeader } from "../../shared/ui/PageHeader";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import "./AuditPage.css";
import { type AuditFilter, exportURL, filterNames, readFilter, useAudit } from "./audit";

/** The audit log, with the filter in the URL. */
export default function AuditPage() {
  const [params, setParams] = useSearchParams();
  const filter = readFilter(params);
  const audit = useAudit(filter);
  const entries = audit.data?.pages.flatMap((page) => page.entries) ?? [];
  const apply = (next: AuditFilter) =>
    setParams(Object.fromEntries(filterNames.filter((name) => next[name] !== "").map((name) => [name, next[name]])));
  return (
    <>
      <PageHeader
        title="Audit log"
        description="All changes, sign-ins, and opened consoles and screens."
        actions={
          <div className="sl-audit__exports">
            {(["csv", "ndjson"] as const).map((format) => (
              <Button
                key={format}
                component="a"
                variant="secondary"
                icon={<DownloadIcon />}
                href={exportURL(filter, format)}
                download={`audit.${format}`}
              >
                {format.toUpperCase()}
              </Button>
            ))}
          </div>
        }
      />
      <PageSection isFilled aria-label="Audit entries">
        <FilterForm key={params.toString()} filter={filter} onApply={apply} />
        {audit.error && (
          <ProblemAlert title="Couldn't load the audit log" error={audit.error} onRetry={() => void audit.refetch()} />
        )}
        {audit.isPending && <Skeleton height="8rem" screenreaderText="Loading" />}
        {audit.data && entries.length === 0 && (
          <EmptyState variant="sm" headingLevel="h2" icon={SearchIcon} titleText="No matches">
            <EmptyStateBody>Filters match exact names.</EmptyStateBody>
          </EmptyState>
        )}
        {entries.length > 0 && <Entries entries={entries} />}
        {audit.hasNextPage && (
          <Button
            variant="link"
            isLoading={audit.isFetchingNextPage}
            isDisabled={audit.isFetchingNextPage}
            onClick={() => void audit.fetchNextPage()}
          >
            Show older entries
          </Button>
        )}
      </PageSection>
    </>
  );
}

const fields = [
  { name: "user", label: "User", type: "text", placeholder: "alice" },
  { name: "action", label: "Action", type: "text", placeholder: "create-node" },
  { name: "target", label: "Target", type: "text", placeholder: "name or id" },
  { name: "from", label: "From", type: "date", placeholder: "" },
  { name: "to", label: "To", type: "date", placeholder: "" },
] as const;

function FilterForm({ filter, onApply }: { filter: AuditFilter; onApply: (filter: AuditFilter) => void }) {
  const [draft, setDraft] = useState(filter);
  const isEmpty = filterNames.every((name) => draft[name] === "");
  return (
    <Form
      className="sl-audit__filter"
      onSubmit={(event) => {
        event.preventDefault();
        onApply(draft);
      }}
    >
      {fields.map(({ name, label, type, placeholder }) => (
        <FormGroup key={name} label={label} fieldId={`audit-${name}`}>
          <TextInput
            id={`audit-${name}`}
            type={type}
            placeholder={placeholder}
            value={draft[name]}
            onChange={(_event, value) => setDraft({ ...draft, [name]: value })}
          />
        </FormGroup>
      ))}
      <div className="sl-audit__buttons">
        <Button type="submit" variant="secondary" icon={<SearchIcon />}>
          Search
        </Button>
        {!isEmpty && (
          <Button variant="link" onClick={() => onApply({ user: "", action: "", target: "", from: "", to: "" })}>
            Clear
          </Button>
        )}
      </div>
    </Form>
  );
}

function Entries({ entries }: { entries: readonly AuditEntry[] }) {
  return (
    <Table aria-label="Audit entries" variant="compact" gridBreakPoint="grid-lg" className="sl-table">
      <Thead>
        <Tr>
          <Th modifier="nowrap">Time</Th>
          <Th>User</Th>
          <Th>Action</Th>
          <Th>Target</Th>
          <Th>From</Th>
          <Th>Result</Th>
        </Tr>
      </Thead>
      <Tbody>
        {entries.map((entry) => (
          <Tr key={entry.id} data-audit={entry.action}>
            <Td dataLabel="Time" modifier="nowrap">
              <time dateTime={entry.time}>{formatTime(entry.time)}</time>
            </Td>
            <Td dataLabel="User" modifier="breakWord">
              {entry.user || "–"} <span className="sl-subtle">{entry.via}</span>
            </Td>
            <Td dataLabel="Action">
              <code>{entry.action}</code>
            </Td>
            <Td dataLabel="Target" modifier="breakWord">
              <Target entry={entry} />
            </Td>
            <Td dataLabel="From" modifier="nowrap">
              {entry.address ?? "–"}
            </Td>
            <Td dataLabel="Result">
              <Result entry={entry} />
            </Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}

function Target({ entry: { targetKind, targetId, targetName, detail } }: { entry: AuditEntry }) {
  const name = targetName || targetId;
  return (
    <>
      {name ? `${targetKind ? `${targetKind}: ` : ""}${name}` : "–"}
      {detail && <div className="sl-subtle sl-break">{detail}</div>}
    </>
  );
}

function Result({ entry: { status, code } }: { entry: AuditEntry }) {
  if (code) {
    return (
      <Label isCompact color="red" title={`Status ${status ?? 0}`}>
        {code}
      </Label>
    );
  }
  return (
    <Label isCompact color="green">
      {status ?? "done"}
    </Label>
  );
}
