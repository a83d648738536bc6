import { idempotencyKey } from "../../shared/api/client";
import type { Lab, LabNetwork, Node, NodeSpec } from "../../shared/api/types";
import { freeName } from "../../shared/freeName";
import { addLink, addNetwork, addNode, createLab } from "./api/changeLab";
import type { LabFile } from "./labFile";

/** One step of an import, and what became of it. */
export interface Step {
  what: string;
  state: "waiting" | "running" | "done" | "failed";
  error?: unknown;
}

/** What an import asks of the service; a test asks something else. */
export interface Maker {
  lab: (name: string) => Promise<Lab>;
  network: (lab: string, at: { x: number; y: number; addresses: boolean }) => Promise<LabNetwork>;
  /** The same key for each attempt at the same node. */
  node: (spec: NodeSpec, idempotencyKey: string) => Promise<Node>;
  place: (lab: string, node: string, at: { x: number; y: number }) => Promise<unknown>;
  link: (lab: string, node: string, network: string) => Promise<unknown>;
}

/** Asks the service; makeNode makes a node. */
export function serviceMaker(makeNode: Maker["node"]): Maker {
  return { lab: createLab, network: addNetwork, node: makeNode, place: addNode, link: addLink };
}

/**
 * Makes what a file describes, one step after the other. A step that fails stops
 * the import; run goes on from there, and makes nothing twice.
 */
export class LabImport {
  private lab: Lab | undefined;
  private readonly networks = new Map<string, string>();
  private readonly nodes = new Map<string, string>();
  private readonly work: { what: string; run: () => Promise<void> }[] = [];
  private steps: readonly Step[];
  private listeners = new Set<() => void>();

  constructor(
    private readonly file: LabFile,
    private readonly maker: Maker,
    takenNames: readonly string[],
  ) {
    this.plan([...takenNames]);
    this.steps = this.work.map(({ what }) => ({ what, state: "waiting" }));
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  list = (): readonly Step[] => this.steps;

  /** The id of the lab that is made, once it is. */
  labID = (): string | undefined => this.lab?.id;

  /** Does what is left to do, and resolves with whether all is done. */
  async run(): Promise<boolean> {
    for (const [i, { run }] of this.work.entries()) {
      if (this.steps[i]?.state === "done") {
        continue;
      }
      this.set(i, { state: "running" });
      try {
        await run();
      } catch (error) {
        this.set(i, { state: "failed", error });
        return false;
      }
      this.set(i, { state: "done" });
    }
    return true;
  }

  private plan(taken: string[]): void {
    const lab = () => this.lab?.id ?? "";
    this.work.push({
      what: `Make the lab ${this.file.name}`,
      run: async () => {
        this.lab = await this.maker.lab(this.file.name);
      },
    });
    for (const { name, x, y, addresses } of this.file.networks) {
      this.work.push({
        what: `Make the network ${name}`,
        run: async () => {
          const made = await this.maker.network(lab(), { x, y, addresses });
          this.networks.set(name, made.id);
        },
      });
    }
    for (const node of this.file.nodes) {
      const name = freeName(node.name, taken);
      taken.push(name);
      const key = idempotencyKey();
      this.work.push({
        what: name === node.name ? `Make the node ${name}` : `Make the node ${node.name} as ${name}, for its name is taken`,
        run: async () => {
          const { image, osType, ram, cpus, disk } = node;
          const spec = { name, image, ...(osType ? { osType } : {}), resources: { ram, cpus, disk } };
          const made = await this.maker.node(spec, key);
          this.nodes.set(node.name, made.id);
        },
      });
      this.work.push({
        what: `Put ${name} into the lab`,
        run: async () => {
          await this.maker.place(lab(), this.nodes.get(node.name) ?? "", { x: node.x, y: node.y });
        },
      });
      for (const network of node.networks) {
        this.work.push({
          what: `Connect ${name} to ${network}`,
          run: async () => {
            await this.maker.link(lab(), this.nodes.get(node.name) ?? "", this.networks.get(network) ?? "");
          },
        });
      }
    }
  }

  private set(index: number, change: Partial<Step>): void {
    this.steps = this.steps.map((step, i) => (i === index ? { what: step.what, state: step.state, ...change } : step));
    for (const listener of this.listeners) {
      listener();
    }
  }
}
