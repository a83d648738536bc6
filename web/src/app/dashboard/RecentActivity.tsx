import ExclamationCircleIcon from "@patternfly/react-icons/dist/esm/icons/exclamation-circle-icon";
import CubeIcon from "@patternfly/react-icons/dist/esm/icons/cube-icon";
import ServerIcon from "@patternfly/react-icons/dist/esm/icons/server-icon";
import TrashIcon from "@patternfly/react-icons/dist/esm/icons/trash-icon";
import { Link } from "react-router";

import type { Image, Node } from "../../shared/api/types";
import { paths } from "../../shared/paths";
import { Ago } from "../../shared/ui/Ago";
import { type Happening, happeningsOf, useActivity } from "../activity";

const shown = 8;

interface RecentActivityProps {
  nodes: readonly Node[];
  images: readonly Image[];
}

/** The latest activity of all users. */
export function RecentActivity({ nodes, images }: RecentActivityProps) {
  const seen = useActivity();
  const happenings = [...seen, ...happeningsOf(nodes, images)].sort((a, b) => b.at - a.at).slice(0, shown);
  if (happenings.length === 0) {
    return <p className="sl-subtle">No activity yet.</p>;
  }
  return (
    <ul className="sl-activity">
      {happenings.map((happening) => (
        <li key={`${happening.at} ${happening.id} ${happening.what}`}>
          <Sign happening={happening} />
          <span className="sl-activity__what">
            <Subject happening={happening} /> {happening.what}
          </span>
          <span className="sl-subtle">
            <Ago time={new Date(happening.at).toISOString()} />
          </span>
        </li>
      ))}
    </ul>
  );
}

function Sign({ happening: { kind, mood } }: { happening: Happening }) {
  return (
    <span className="sl-activity__sign" data-mood={mood} aria-hidden>
      {mood === "bad" ? (
        <ExclamationCircleIcon />
      ) : mood === "gone" ? (
        <TrashIcon />
      ) : kind === "node" ? (
        <ServerIcon />
      ) : (
        <CubeIcon />
      )}
    </span>
  );
}

function Subject({ happening: { kind, id, name, mood } }: { happening: Happening }) {
  return mood === "gone" ? <b>{name}</b> : <Link to={kind === "node" ? paths.node(id) : paths.image(id)}>{name}</Link>;
}
