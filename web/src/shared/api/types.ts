import type { components } from "./schema";

type Schemas = components["schemas"];

/** A virtual machine, as the service shows it. */
export type Node = Schemas["Node"];
export type NodeState = Node["state"];
/** A port of a node's serial console. */
export type SerialPort = Schemas["SerialPort"];
/** What a node used on average since the point before; bytes, and bytes per second. */
export type Figures = Schemas["Figures"];
/** A node after a change, with when it has its new sizes. */
export type ResizedNode = Schemas["EditedNode"];
/** What can be changed of a node; RAM in MiB, disk in bytes. */
export type NodeEdit = Schemas["NodeEdit"];
/** A disk or drive of a node. */
export type Disk = Schemas["Disk"];
/** A disk with all the files that it consists of. */
export type DiskChain = Schemas["DiskChain"];
/** One file of a disk, and what it lies on; sizes in bytes. */
export type ChainFile = Schemas["ChainFile"];
/** A network card of a node. */
export type Interface = Schemas["Interface"];
/** A state of a node that was kept. */
export type Snapshot = Schemas["Snapshot"];
/** What POST /api/nodes takes: RAM in MiB, disk in bytes. */
export type NodeSpec = Schemas["NodeRequest"];
/** What a guest is told at its first boot. */
export type CloudInit = Schemas["CloudInit"];
/** A disk image; sizes in bytes. */
export type Image = Schemas["Image"];
export type ImageState = Image["state"];
/** A change that the service could neither complete nor undo. */
export type Change = Schemas["Change"];
/** A libvirt host. */
export type Host = Schemas["Host"];
/** A token of the API; its secret is there only when it was just made. */
export type Token = Schemas["Token"];
/** An account; what is told of it to others than administrators is its name and role. */
export type Account = Schemas["Account"];
/** All that an account owns. */
export type Owned = Schemas["Owned"];
/** Bounds of an account, or what it takes: RAM in MiB, disk in bytes; what is absent has no bound. */
export type Quota = Schemas["Quota"];
/** Accounts that things are shared with together. */
export type Group = Schemas["Group"];
/** A right on a node or an image that was given to somebody. */
export type Share = Schemas["Share"];
/** A lab as it is exported and imported: RAM in MiB, disks in bytes. */
export type LabFile = Schemas["LabFile"];
/** Long work. */
export type Job = Schemas["Job"];
/** An image of the catalogue. */
export type CatalogEntry = Schemas["CatalogEntry"];
/** Who did what to what. */
export type AuditEntry = Schemas["AuditEntry"];
/** A libvirt network. */
export type Network = Schemas["Network"];
/** An option of the service as it is in effect. */
export type Setting = Schemas["Setting"];
/** One of the user's sessions. */
export type OpenSession = Schemas["Session"];
/** The body of every failed answer (RFC 9457). */
export type Problem = Schemas["Problem"];
/** A lab in the list of them. */
export type LabSummary = Schemas["LabSummary"];
/** A lab with what is in it; positions in pixels of the canvas. */
export type Lab = Schemas["Lab"];
export type LabNetwork = Schemas["LabNetwork"];
