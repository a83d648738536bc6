import { Button, TextInput } from "@patternfly/react-core";
import ArrowDownIcon from "@patternfly/react-icons/dist/esm/icons/arrow-down-icon";
import ArrowUpIcon from "@patternfly/react-icons/dist/esm/icons/arrow-up-icon";
import TimesIcon from "@patternfly/react-icons/dist/esm/icons/times-icon";
import { useState } from "react";

interface ConsoleSearchProps {
  /** Scrolls to a match and returns whether there is one. isTyping: the current match is kept if it still matches. */
  onFind: (text: string, direction: "next" | "previous", isTyping: boolean) => boolean;
  onClose: () => void;
}

/** A search field for the console's output. */
export function ConsoleSearch({ onFind, onClose }: ConsoleSearchProps) {
  const [text, setText] = useState("");
  const [isFound, setFound] = useState(true);
  const find = (direction: "next" | "previous", wanted = text, isTyping = false) =>
    setFound(wanted === "" || onFind(wanted, direction, isTyping));
  return (
    <form
      className="sl-console__search"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        find("previous");
      }}
      onKeyDown={(event) => {
        if (event.key === "Escape") {
          onClose();
        }
      }}
    >
      <TextInput
        aria-label="Search the console"
        placeholder="Search"
        value={text}
        // The user opened the search and types there next.
        ref={(input) => input?.focus()}
        validated={isFound ? "default" : "error"}
        onChange={(_event, value) => {
          setText(value);
          find("previous", value, true);
        }}
        autoComplete="off"
        autoCapitalize="off"
        spellCheck={false}
      />
      <Button
        type="submit"
        variant="plain"
        size="sm"
        icon={<ArrowUpIcon />}
        aria-label="Previous"
        isDisabled={text === ""}
      />
      <Button
        variant="plain"
        size="sm"
        icon={<ArrowDownIcon />}
        aria-label="Next"
        isDisabled={text === ""}
        onClick={() => find("next")}
      />
      <span role="status" className="sl-subtle">
        {!isFound && "Not found"}
      </span>
      <Button variant="plain" size="sm" icon={<TimesIcon />} aria-label="Close search" onClick={onClose} />
    </form>
  );
}
