import { Divider, DropdownItem } from "@patternfly/react-core";
import QuestionCircleIcon from "@patternfly/react-icons/dist/esm/icons/question-circle-icon";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "react-router";

import { api, bodyOf } from "../shared/api/client";
import { atBase } from "../shared/base";
import { paths } from "../shared/paths";
import { Menu } from "../shared/ui/Menu";

const guides = [
  { name: "", text: "All guides" },
  { name: "first-steps", text: "First steps" },
  { name: "users-and-sharing", text: "Users and sharing" },
  { name: "rest-by-example", text: "REST by example" },
  { name: "troubleshooting", text: "Troubleshooting" },
] as const;

/** Links to the documentation of the service, and its version. */
export function HelpMenu() {
  const navigate = useNavigate();
  return (
    <Menu label="Help" icon={<QuestionCircleIcon />}>
      {guides.map(({ name, text }) => (
        <DropdownItem key={name} onClick={() => void navigate(paths.help(name))}>
          {text}
        </DropdownItem>
      ))}
      <Divider component="li" />
      <DropdownItem to={atBase("/api/docs")} target="_blank" rel="noreferrer" description="Reference of all requests">
        API documentation
      </DropdownItem>
      <DropdownItem
        to={atBase("/api/openapi.json")}
        target="_blank"
        rel="noreferrer"
        description="For generated clients"
      >
        OpenAPI description
      </DropdownItem>
      <Divider component="li" />
      <Version />
    </Menu>
  );
}

function Version() {
  const health = useQuery({
    queryKey: ["version"],
    queryFn: () => bodyOf(api.GET("/api/health")),
    select: ({ version }) => version,
    staleTime: Infinity,
  });
  return <DropdownItem isDisabled>SandboxLabs {health.data}</DropdownItem>;
}
