import type { components } from "./schema";

type Schemas = components["schemas"];

/** A virtual machine, as the service shows it. */
export type Node = Schemas["Node"];
export type NodeState = Node["state"];
/** A port of a node's serial console. */
export type SerialPort = Schemas["SerialPort"];
/** What a node used on average since the point before; bytes, and bytes per second. */
export type Figures = Schemas["Figures"];
/** What POST /api/nodes takes: RAM in MiB, disk in bytes. */
export type NodeSpec = Schemas["NodeRequest"];
/** What a guest is told at its first boot. */
export type CloudInit = Schemas["CloudInit"];
/** A disk image; sizes in bytes. */
export type Image = Schemas["Image"];
export type ImageState = Image["state"];
/** A libvirt host. */
export type Host = Schemas["Host"];
/** A token of the API; its secret is there only when it was just made. */
export type Token = Schemas["Token"];
/** The body of every failed answer (RFC 9457). */
export type Problem = Schemas["Problem"];
