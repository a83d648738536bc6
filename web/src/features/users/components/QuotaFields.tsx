import { InputGroup, InputGroupItem, InputGroupText, TextInput } from "@patternfly/react-core";
import { useId } from "react";

import { Field } from "../../../shared/ui/Field";
import { type QuotaDraft, boundNames, boundProblem, bounds } from "../quota";

interface QuotaFieldsProps {
  draft: QuotaDraft;
  onChange: (draft: QuotaDraft) => void;
}

/** A field for each limit of a quota. */
export function QuotaFields({ draft, onChange }: QuotaFieldsProps) {
  const id = useId();
  return (
    <div className="sl-quota">
      {boundNames.map((name) => {
        const { label, unit, factor } = bounds[name];
        const problem = boundProblem(name, draft[name]);
        return (
          <Field key={name} id={`${id}-${name}`} label={label} problem={problem}>
            <InputGroup>
              <InputGroupItem isFill>
                <TextInput
                  id={`${id}-${name}`}
                  inputMode={factor === 1 ? "numeric" : "decimal"}
                  placeholder="no limit"
                  value={draft[name]}
                  validated={problem === "" ? "default" : "error"}
                  aria-describedby={`${id}-${name}-help`}
                  onChange={(_event, value) => onChange({ ...draft, [name]: value })}
                />
              </InputGroupItem>
              {unit && (
                <InputGroupItem>
                  <InputGroupText isPlain>{unit}</InputGroupText>
                </InputGroupItem>
              )}
            </InputGroup>
          </Field>
        );
      })}
    </div>
  );
}
