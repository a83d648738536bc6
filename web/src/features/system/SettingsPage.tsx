import { Label, PageSection, Skeleton } from "@patternfly/react-core";
import LockIcon from "@patternfly/react-icons/dist/esm/icons/lock-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";

import type { Setting } from "../../shared/api/types";
import { PageHeader } from "../../shared/ui/PageHeader";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { SearchToolbar, useSearch } from "../../shared/ui/SearchToolbar";
import { useSettings } from "./api";

const sources: Record<Setting["source"], { text: string; color: "grey" | "blue" | "purple" | "teal" }> = {
  default: { text: "Default", color: "grey" },
  file: { text: "File", color: "blue" },
  environment: { text: "Environment", color: "purple" },
  flag: { text: "Flag", color: "teal" },
};

/** The service's settings and where each value comes from. */
export default function SettingsPage() {
  const settings = useSettings();
  const { fits } = useSearch();
  const found = settings.data?.settings.filter(({ name, value, description }) =>
    fits(`${name} ${value} ${description}`),
  );
  return (
    <>
      <PageHeader
        title="Settings"
        description={
          settings.data && (
            <>
              Version {settings.data.version}
              {settings.data.commit !== "unknown" && (
                <>
                  {" "}
                  (commit <code title={settings.data.commitDate}>{settings.data.commit.slice(0, 12)}</code>)
                </>
              )}
              {settings.data.file && (
                <>
                  , file <code>{settings.data.file}</code>
                </>
              )}
              . They are changed by flags, environment or the file, and take effect when the service starts.
            </>
          )
        }
      />
      <PageSection isFilled aria-label="Settings">
        {settings.error && (
          <ProblemAlert
            title="Couldn't load the settings"
            error={settings.error}
            onRetry={() => void settings.refetch()}
          />
        )}
        {settings.isPending && <Skeleton height="8rem" screenreaderText="Loading" />}
        {found && (
          <>
            <SearchToolbar label="Search settings" placeholder="Search settings" />
            <Table aria-label="Settings" variant="compact" gridBreakPoint="grid-md" className="sl-table">
              <Thead>
                <Tr>
                  <Th width={45}>Name</Th>
                  <Th width={40}>Value</Th>
                  <Th>From</Th>
                </Tr>
              </Thead>
              <Tbody>
                {found.map((setting) => (
                  <Tr key={setting.name} data-setting={setting.name}>
                    <Td dataLabel="Name" modifier="breakWord">
                      <code>{setting.name}</code>
                      <div className="sl-subtle">{setting.description}</div>
                    </Td>
                    <Td dataLabel="Value" modifier="breakWord">
                      <Value setting={setting} />
                    </Td>
                    <Td dataLabel="From">
                      <Label isCompact color={sources[setting.source].color}>
                        {sources[setting.source].text}
                      </Label>
                    </Td>
                  </Tr>
                ))}
              </Tbody>
            </Table>
          </>
        )}
      </PageSection>
    </>
  );
}

function Value({ setting: { value, secret, set } }: { setting: Setting }) {
  if (!set) {
    return <span className="sl-subtle">not set</span>;
  }
  return secret ? (
    <Label isCompact variant="outline" icon={<LockIcon />}>
      set
    </Label>
  ) : (
    <code>{value}</code>
  );
}
