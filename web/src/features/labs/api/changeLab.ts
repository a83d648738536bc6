import { useMutation, useQueryClient } from "@tanstack/react-query";

import { api, bodyOf, done, ifMatch } from "../../../shared/api/client";
import type { Lab, LabNetwork } from "../../../shared/api/types";
import type { Position } from "../layout";
import { labKey, labListKey, labsKey } from "./labs";

export async function createLab(name: string): Promise<Lab> {
  return bodyOf(api.POST("/api/labs", { body: { name } }));
}

/** Deletes a lab, but not its nodes and networks. */
export async function deleteLab(id: string): Promise<void> {
  await done(api.DELETE("/api/labs/{id}", { params: { path: { id } } }));
}

export async function addNode(id: string, node: string, at: Position): Promise<Lab> {
  return bodyOf(api.PUT("/api/labs/{id}/nodes/{node}", { params: { path: { id, node } }, body: at }));
}

export async function addNetwork(
  id: string,
  options: Position & { host?: string; addresses?: boolean },
): Promise<LabNetwork> {
  return bodyOf(api.POST("/api/labs/{id}/networks", { params: { path: { id } }, body: options }));
}

export async function deleteNetwork(id: string, network: string): Promise<Lab> {
  return bodyOf(api.DELETE("/api/labs/{id}/networks/{network}", { params: { path: { id, network } } }));
}

/** Links a node to another node or to a network. */
export async function addLink(id: string, from: string, to: string): Promise<Lab> {
  return bodyOf(api.POST("/api/labs/{id}/links", { params: { path: { id } }, body: { from, to } }));
}

export async function savePositions(id: string, positions: (Position & { id: string })[]): Promise<void> {
  await done(api.PUT("/api/labs/{id}/positions", { params: { path: { id } }, body: { positions } }));
}

/** One change of a lab, as the canvas and the list request it. */
export type LabChange =
  | { do: "rename"; name: string; version: string }
  | { do: "addNode"; node: string; at: Position }
  | { do: "removeNode"; node: string }
  | { do: "addNetwork"; at: Position; host?: string; addresses: boolean }
  | { do: "deleteNetwork"; network: string }
  | { do: "link"; from: string; to: string }
  | { do: "unlink"; node: string; network: string };

async function changeLab(id: string, change: LabChange): Promise<Lab | null> {
  switch (change.do) {
    case "rename":
      return bodyOf(
        api.PATCH("/api/labs/{id}", {
          params: { path: { id }, header: ifMatch(change.version) },
          body: { name: change.name },
        }),
      );
    case "addNode":
      return addNode(id, change.node, change.at);
    case "removeNode":
      return bodyOf(api.DELETE("/api/labs/{id}/nodes/{node}", { params: { path: { id, node: change.node } } }));
    case "addNetwork":
      await addNetwork(id, {
        ...change.at,
        addresses: change.addresses,
        ...(change.host ? { host: change.host } : {}),
      });
      return null;
    case "deleteNetwork":
      return deleteNetwork(id, change.network);
    case "link":
      return addLink(id, change.from, change.to);
    case "unlink":
      return bodyOf(
        api.DELETE("/api/labs/{id}/links/{node}/{network}", {
          params: { path: { id, node: change.node, network: change.network } },
        }),
      );
  }
}

/** Changes a lab and updates the cache with the result. */
export function useChangeLab(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (change: LabChange) => changeLab(id, change),
    onSuccess: (lab) => {
      if (lab) {
        queries.setQueryData(labKey(id), lab);
      } else {
        void queries.invalidateQueries({ queryKey: labKey(id) });
      }
      void queries.invalidateQueries({ queryKey: labListKey });
    },
    // A change of several steps may have failed half-way.
    onError: () => queries.invalidateQueries({ queryKey: labsKey }),
  });
}
