import { Badge, MenuToggle, Select, SelectList, SelectOption, ToolbarItem } from "@patternfly/react-core";
import { useState } from "react";

import type { Choice, Facet } from "../filter";

const names: Record<Facet, string> = { owner: "Owner", image: "Image", host: "Host", tag: "Tag", origin: "Origin" };

interface FacetFilterProps {
  facet: Facet;
  choices: readonly Choice[];
  /** The selected value; empty for any. */
  chosen: string;
  onChoose: (value: string) => void;
}

/** Filters a list by one value of a property; renders nothing if there is nothing to choose from. */
export function FacetFilter({ facet, choices, chosen, onChoose }: FacetFilterProps) {
  const [isOpen, setOpen] = useState(false);
  if (chosen === "" && (choices.length === 0 || (choices.length === 1 && facet !== "tag"))) {
    return null;
  }
  const name = names[facet];
  const shown = choices.find(({ value }) => value === chosen)?.name;
  return (
    <ToolbarItem>
      <Select
        isOpen={isOpen}
        selected={chosen}
        onOpenChange={setOpen}
        onSelect={(_event, value) => {
          onChoose(String(value ?? ""));
          setOpen(false);
        }}
        isScrollable
        shouldFocusToggleOnSelect
        toggle={(ref) => (
          <MenuToggle
            ref={ref}
            isExpanded={isOpen}
            onClick={() => setOpen(!isOpen)}
            className={chosen === "" ? "" : "sl-facet--on"}
          >
            {shown === undefined ? name : `${name}: ${shown}`}
          </MenuToggle>
        )}
      >
        <SelectList aria-label={name}>
          <SelectOption value="">Any</SelectOption>
          {choices.map(({ value, name: text, count }) => (
            <SelectOption key={value} value={value}>
              {text} <Badge isRead>{count}</Badge>
            </SelectOption>
          ))}
        </SelectList>
      </Select>
    </ToolbarItem>
  );
}
