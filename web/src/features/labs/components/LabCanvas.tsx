import {
  Background,
  type Connection,
  ConnectionMode,
  Controls,
  type Edge,
  type EdgeChange,
  type FinalConnectionState,
  type NodeChange,
  type Node as FlowNode,
  ReactFlow,
  useReactFlow,
  useStore,
} from "@xyflow/react";
import "@xyflow/react/dist/base.css";
import { useEffect, useMemo } from "react";

import type { Lab, Node } from "../../../shared/api/types";
import { type Link, type Position, addressOf, networkSize, nodeSize } from "../layout";
import { LinkEdge, type LinkEdgeData } from "./LinkEdge";
import { MachineOnCanvas, type MachineData } from "./MachineOnCanvas";
import { NetworkOnCanvas, type NetworkData } from "./NetworkOnCanvas";
import "./LabCanvas.css";

export interface LabCanvasProps {
  lab: Lab;
  /** The existing nodes of the lab. */
  nodes: readonly Node[];
  links: readonly Link[];
  /** IDs of nodes, networks and links. */
  chosen: ReadonlySet<string>;
  /** Whether the lab may be changed. */
  editable: boolean;
  onChoose: (id: string, isChosen: boolean) => void;
  onMove: (id: string, to: Position) => void;
  onLink: (from: string, to: string) => void;
  onRemove: (ids: string[]) => void;
}

type Machine = FlowNode<MachineData, "machine">;
type Net = FlowNode<NetworkData, "network">;
type LabEdge = Edge<LinkEdgeData, "link">;

const nodeTypes = { machine: MachineOnCanvas, network: NetworkOnCanvas };
const edgeTypes = { link: LinkEdge };
const labels = {
  "node.a11yDescription.default":
    "Press Enter to select it, then move it with the arrow keys, or press Delete to remove it.",
  "node.a11yDescription.keyboardDisabled": "Press Enter to select it.",
  "edge.a11yDescription.default": "Press Enter to select the link, and Delete to remove it.",
  "controls.ariaLabel": "Zoom",
};

const fit = { padding: 0.1, maxZoom: 1.25 };

/** The lab as a diagram: drag nodes to move them, drag from one node's dot to another to connect them. */
export default function LabCanvas(props: LabCanvasProps) {
  const { lab, nodes, links, chosen, editable, onChoose, onMove, onLink, onRemove } = props;
  const flowNodes = useMemo(() => {
    const places = new Map(lab.nodes.map(({ id, x, y }) => [id, { x, y }]));
    const machines = nodes.map((node): Machine => ({
      ...nodeSize,
      id: node.id,
      type: "machine",
      position: places.get(node.id) ?? { x: 0, y: 0 },
      selected: chosen.has(node.id),
      data: { node, address: addressOf(node, lab.networks) },
      ariaLabel: `Node ${node.name}, ${node.state}`,
    }));
    const networks = lab.networks.map((network): Net => ({
      ...networkSize,
      id: network.id,
      type: "network",
      position: { x: network.x, y: network.y },
      selected: chosen.has(network.id),
      data: { network },
      ariaLabel: `Network ${network.name}`,
    }));
    return [...networks, ...machines];
  }, [lab, nodes, chosen]);
  const edges = useMemo(() => {
    const nameOf = (id: string) =>
      nodes.find((node) => node.id === id)?.name ?? lab.networks.find((network) => network.id === id)?.name ?? id;
    return links.map((link): LabEdge => ({
      id: link.id,
      source: link.node,
      target: link.network,
      type: "link",
      selected: chosen.has(link.id),
      data: { isLive: nodes.find((node) => node.id === link.node)?.state === "running" },
      ariaLabel: `Link of ${nameOf(link.node)} to ${nameOf(link.network)}`,
    }));
  }, [lab, nodes, links, chosen]);

  const choose = (changes: readonly (NodeChange<Machine | Net> | EdgeChange<LabEdge>)[]) => {
    for (const change of changes) {
      if (change.type === "select") {
        onChoose(change.id, change.selected);
      } else if (change.type === "position" && change.position) {
        onMove(change.id, change.position);
      }
    }
  };
  const connect = (from: string, to: string) => {
    const isNode = (id: string) => nodes.some((node) => node.id === id);
    // Links have no direction.
    const [start, end] = isNode(from) ? [from, to] : [to, from];
    if (start !== end && isNode(start)) {
      onLink(start, end);
    }
  };
  const drop = (event: MouseEvent | TouchEvent, state: FinalConnectionState) => {
    if (state.isValid || !state.fromNode) {
      return; // it ended on a dot, which onConnect handles
    }
    const point = "changedTouches" in event ? event.changedTouches[0] : event;
    const hit =
      point && document.elementFromPoint(point.clientX, point.clientY)?.closest<HTMLElement>(".react-flow__node");
    if (hit?.dataset.id !== undefined) {
      connect(state.fromNode.id, hit.dataset.id);
    }
  };
  return (
    <div className="sl-canvas" data-canvas={lab.name}>
      <ReactFlow
        nodes={flowNodes}
        edges={edges}
        nodeTypes={nodeTypes}
        edgeTypes={edgeTypes}
        connectionMode={ConnectionMode.Loose}
        connectionRadius={40}
        nodesDraggable={editable}
        nodesConnectable={editable}
        deleteKeyCode={editable ? ["Delete", "Backspace"] : null}
        onNodesChange={choose}
        onEdgesChange={choose}
        onConnect={({ source, target }: Connection) => connect(source, target)}
        onConnectEnd={drop}
        onBeforeDelete={({ nodes: gone, edges: cut }) => {
          // Links of a removed item are removed automatically.
          const things = gone.length > 0 ? gone : cut;
          onRemove(things.map(({ id }) => id));
          return Promise.resolve(false);
        }}
        fitView
        fitViewOptions={fit}
        minZoom={0.2}
        maxZoom={2}
        snapToGrid
        snapGrid={[8, 8]}
        proOptions={{ hideAttribution: true }}
        ariaLabelConfig={labels}
        aria-label={`Canvas of ${lab.name}`}
      >
        <Background gap={24} size={1.5} />
        <Controls showInteractive={false} fitViewOptions={fit} />
        <Refit />
      </ReactFlow>
    </div>
  );
}

/** Fits the lab into the canvas when its width changes, for example when a phone is rotated or a window resized. */
function Refit() {
  const { fitView } = useReactFlow();
  const width = useStore((state) => state.width);
  useEffect(() => void fitView(fit), [fitView, width]);
  return null;
}
