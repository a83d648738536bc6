export interface paths {
  "/api/auth/me": { get: operations["me"] };
  "/api/auth/login": { post: operations["login"] };
  "/api/auth/logout": { post: operations["logout"] };
  "/api/nodes": { get: operations["list-nodes"]; post: operations["create-node"] };
  "/api/nodes/{id}": { get: operations["get-node"]; patch: operations["update-node"]; delete: operations["delete-node"] };
  "/api/nodes/{id}/run": { post: operations["node-action"] };
  "/api/nodes/{id}/stop": { post: operations["node-force-action"] };
  "/api/nodes/{id}/reboot": { post: operations["node-action"] };
  "/api/nodes/{id}/reset": { post: operations["node-action"] };
  "/api/nodes/{id}/pause": { post: operations["node-action"] };
  "/api/nodes/{id}/resume": { post: operations["node-action"] };
  "/api/nodes/{id}/wipe": { post: operations["node-force-action"] };
  "/api/nodes/{id}/adopt": { post: operations["node-action"] };
  "/api/images": { get: operations["list-images"] };
  "/api/images/{id}": { delete: operations["delete-image"] };
  "/api/hosts": { get: operations["list-hosts"] };
}
export interface components {
  schemas: {
    Node: {
      id: string;
      name: string;
      state: "running" | "stopped" | "paused" | "starting" | "stopping" | "crashed" | "unreachable";
      managed: boolean;
      host: string;
      osType?: string;
      image?: { type: "base" | "custom"; id: string; name: string; path?: string; size?: number };
      overlayPath?: string;
      resources: { ram: number; cpus: number; disk?: number };
      accelerator?: string;
      console?: { available: boolean };
      vnc?: { port: number };
      owner?: string;
      tags?: string[];
      addresses?: string[];
      created?: string;
      started?: string;
      persistent?: boolean;
      problem?: string;
    };
    NodeSpec: {
      name: string;
      image: string;
      host?: string;
      resources?: { ram?: number; cpus?: number; disk?: number };
    };
    Image: {
      id: string;
      name: string;
      displayName?: string;
      type: "base" | "custom";
      format?: string;
      state: "uploading" | "verifying" | "ready" | "rejected" | "unverified";
      reason?: string;
      size: number;
      virtualSize?: number;
      sha256?: string;
      path?: string;
      host?: string;
      osType?: string;
      usedBy?: number;
      created?: string;
    };
    Host: {
      name: string;
      uri: string;
      state: "connected" | "connecting" | "unreachable";
      error?: string;
      accelerator?: string;
      acceleratorReason?: string;
      cpus?: number;
      memoryBytes?: number;
      libvirtVersion?: string;
      hypervisorVersion?: string;
      network?: string;
    };
    Problem: {
      type?: string;
      title?: string;
      status?: number;
      detail?: string;
      code?: string;
      errors?: { message?: string; location?: string; value?: unknown }[];
    };
  };
}
interface JSONResponse<T> {
  headers: Record<string, unknown>;
  content: { "application/json": T };
}
interface Failure {
  headers: Record<string, unknown>;
  content: { "application/problem+json": components["schemas"]["Problem"] };
}
interface Empty {
  headers: Record<string, unknown>;
  content?: never;
}
interface ByID {
  parameters: { path: { id: string } };
}
export interface operations {
  me: { responses: { 200: JSONResponse<{ user: { name: string; role: string }; auth: "on" | "off" }>; default: Failure } };
  login: {
    requestBody: { content: { "application/json": { username: string; password: string } } };
    responses: { 200: JSONResponse<{ user: { name: string; role: string } }>; default: Failure };
  };
  logout: { responses: { 204: Empty; default: Failure } };
  "list-nodes": {
    parameters: { query?: { cursor?: string; limit?: number } };
    responses: { 200: JSONResponse<{ nodes: components["schemas"]["Node"][]; nextCursor?: string }>; default: Failure };
  };
  "create-node": {
    parameters: { header?: { "Idempotency-Key"?: string } };
    requestBody: { content: { "application/json": components["schemas"]["NodeSpec"] } };
    responses: { 201: JSONResponse<components["schemas"]["Node"]>; default: Failure };
  };
  "get-node": ByID & { responses: { 200: JSONResponse<components["schemas"]["Node"]>; default: Failure } };
  "update-node": ByID & {
    requestBody: { content: { "application/json": { name?: string } } };
    responses: { 200: JSONResponse<components["schemas"]["Node"]>; default: Failure };
  };
  "delete-node": ByID & { responses: { 204: Empty; default: Failure } };
  "node-action": ByID & { responses: { 200: JSONResponse<components["schemas"]["Node"]>; default: Failure } };
  "node-force-action": ByID & {
    requestBody?: { content: { "application/json": { force?: boolean } } };
    responses: { 200: JSONResponse<components["schemas"]["Node"]>; default: Failure };
  };
  "list-images": {
    responses: {
      200: JSONResponse<{ baseImages: components["schemas"]["Image"][]; customImages: components["schemas"]["Image"][] }>;
      default: Failure;
    };
  };
  "delete-image": ByID & { responses: { 204: Empty; default: Failure } };
  "list-hosts": { responses: { 200: JSONResponse<{ hosts: components["schemas"]["Host"][] }>; default: Failure } };
}
