import { Label, PageSection, SearchInput, Skeleton, Toolbar, ToolbarContent, ToolbarItem } from "@patternfly/react-core";
import LockIcon from "@patternfly/react-icons/dist/esm/icons/lock-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useSearchParams } from "react-router";

import type { Setting } from "../../shared/api/types";
import { PageHeader } from "../../shared/ui/PageHeader";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { useSettings } from "./api";

const sources: Record<Setting["source"], { text: string; color: "grey" | "blue" | "purple" | "teal" }> = {
  default: { text: "Default", color: "grey" },
  file: { text: "File", color: "blue" },
  environment: { text: "Environment", color: "purple" },
  flag: { text: "Flag", color: "teal" },
};

/** What the service is set up with, and where each option comes from. */
export default function SettingsPage() {
  const settings = useSettings();
  const [params, setParams] = useSearchParams();
  const search = params.get("q") ?? "";
  const found = settings.data?.settings.filter(({ name, value, description }) =>
    `${name} ${value} ${description}`.toLowerCase().includes(search.toLowerCase()),
  );
  return (
    <>
      <PageHeader
        title="Settings"
        description={
          settings.data && (
            <>
              Version {settings.data.version}
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
          <ProblemAlert title="The settings cannot be shown" error={settings.error} onRetry={() => void settings.refetch()} />
        )}
        {settings.isPending && <Skeleton height="8rem" screenreaderText="Loading" />}
        {found && (
          <>
            <Toolbar inset={{ default: "insetNone" }}>
              <ToolbarContent>
                <ToolbarItem className="sl-search">
                  <SearchInput
                    aria-label="Search settings"
                    placeholder="Name, value or meaning"
                    value={search}
                    onChange={(_event, value) => setParams(value ? { q: value } : {}, { replace: true })}
                    onClear={() => setParams({}, { replace: true })}
                  />
                </ToolbarItem>
              </ToolbarContent>
            </Toolbar>
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
