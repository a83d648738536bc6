import {
  FormGroup,
  FormHelperText,
  FormSelect,
  FormSelectOption,
  HelperText,
  HelperTextItem,
} from "@patternfly/react-core";

import type { Account } from "../../../shared/api/types";
import { roles } from "../account";

interface RoleSelectProps {
  id: string;
  role: Account["role"];
  onChange: (role: Account["role"]) => void;
}

/** Selects a role and shows what it allows. */
export function RoleSelect({ id, role, onChange }: RoleSelectProps) {
  return (
    <FormGroup label="Role" fieldId={id}>
      <FormSelect
        id={id}
        value={role}
        aria-describedby={`${id}-help`}
        onChange={(_event, value) => onChange(value as Account["role"])}
      >
        {roles.map((look) => (
          <FormSelectOption key={look.role} value={look.role} label={look.text} />
        ))}
      </FormSelect>
      <FormHelperText>
        <HelperText id={`${id}-help`} isLiveRegion>
          <HelperTextItem>{roles.find((look) => look.role === role)?.may}</HelperTextItem>
        </HelperText>
      </FormHelperText>
    </FormGroup>
  );
}
