import { SearchInput, Toolbar, ToolbarContent, ToolbarItem } from "@patternfly/react-core";
import { useSearchParams } from "react-router";

/** The search text in the page's URL, and a function that returns whether a text matches it. */
export function useSearch(): { search: string; fits: (text: string) => boolean } {
  const [params] = useSearchParams();
  const search = params.get("q") ?? "";
  return { search, fits: (text) => text.toLowerCase().includes(search.toLowerCase()) };
}

interface SearchToolbarProps {
  /** The accessible name: "Search users". */
  label: string;
  placeholder: string;
}

/** A search above a list that useSearch filters. */
export function SearchToolbar({ label, placeholder }: SearchToolbarProps) {
  const { search } = useSearch();
  const [, setParams] = useSearchParams();
  const set = (value: string) => setParams(value ? { q: value } : {}, { replace: true });
  return (
    <Toolbar inset={{ default: "insetNone" }}>
      <ToolbarContent>
        <ToolbarItem className="sl-search">
          <SearchInput
            aria-label={label}
            placeholder={placeholder}
            value={search}
            onChange={(_event, value) => set(value)}
            onClear={() => set("")}
          />
        </ToolbarItem>
      </ToolbarContent>
    </Toolbar>
  );
}
