import type { components } from "./schema";

type Schemas = components["schemas"];

/** A virtual machine. */
export type Node = Schemas["Node"];
export type NodeState = Node["state"];
/** A port of a node's serial console. */
export type SerialPort = Schemas["SerialPort"];
/** A node's average usage since the previous point; bytes, and bytes per second. */
export type Metrics = Schemas["Figures"];
/** A node after a change, with when its new sizes take effect. */
export type ResizedNode = Schemas["EditedNode"];
/** A change of a node; RAM in MiB, disk in bytes. */
export type NodeEdit = Schemas["NodeEdit"];
/** A disk or drive of a node. */
export type Disk = Schemas["Disk"];
/** A disk with its backing chain. */
export type DiskChain = Schemas["DiskChain"];
/** One file of a disk, and its backing file; sizes in bytes. */
export type ChainFile = Schemas["ChainFile"];
/** A network interface of a node. */
export type Interface = Schemas["Interface"];
/** A snapshot of a node. */
export type Snapshot = Schemas["Snapshot"];
/** The request of POST /api/nodes: RAM in MiB, disk in bytes. */
export type NodeSpec = Schemas["NodeRequest"];
/** The cloud-init data of a node. */
export type CloudInit = Schemas["CloudInit"];
/** A disk image; sizes in bytes. */
export type Image = Schemas["Image"];
export type ImageState = Image["state"];
/** A change that the service could neither complete nor undo. */
export type Change = Schemas["Change"];
/** A libvirt host. */
export type Host = Schemas["Host"];
/** An API token; it has its secret only when it was just created. */
export type Token = Schemas["Token"];
/** An account; other users than administrators only get its name and role. */
export type Account = Schemas["Account"];
/** All that an account owns. */
export type Owned = Schemas["Owned"];
/** The limits of an account, or its usage: RAM in MiB, disk in bytes; absent means no limit. */
export type Quota = Schemas["Quota"];
/** A group of accounts to share with. */
export type Group = Schemas["Group"];
/** A permission of a user or group on a node, an image or a lab. */
export type Share = Schemas["Share"];
/** A lab as it is exported and imported: RAM in MiB, disks in bytes. */
export type LabFile = Schemas["LabFile"];
/** A background job. */
export type Job = Schemas["Job"];
/** An image of the catalogue. */
export type CatalogEntry = Schemas["CatalogEntry"];
/** An entry of the audit log. */
export type AuditEntry = Schemas["AuditEntry"];
/** A libvirt network. */
export type Network = Schemas["Network"];
/** A setting of the service with its effective value. */
export type Setting = Schemas["Setting"];
/** One of the user's sessions. */
export type OpenSession = Schemas["Session"];
/** The body of all error responses (RFC 9457). */
export type Problem = Schemas["Problem"];
/** A lab in the list of labs. */
export type LabSummary = Schemas["LabSummary"];
/** A lab with its contents; positions in pixels of the canvas. */
export type Lab = Schemas["Lab"];
export type LabNetwork = Schemas["LabNetwork"];
