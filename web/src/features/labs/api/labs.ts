import { useQuery } from "@tanstack/react-query";

import { api, bodyOf, pagesOf } from "../../../shared/api/client";
import { RequestError } from "../../../shared/api/problem";
import type { Lab, LabSummary } from "../../../shared/api/types";

/** The prefix of all query keys about labs. */
export const labsKey = ["labs"] as const;
export const labListKey = [...labsKey, "list"] as const;
export const labKey = (id: string) => [...labsKey, "one", id] as const;

export async function fetchLabs(): Promise<LabSummary[]> {
  const pages = await pagesOf((query) => api.GET("/api/labs", { params: { query } }));
  return pages.flatMap(({ labs }) => labs);
}

export function useLabs() {
  return useQuery({ queryKey: labListKey, queryFn: fetchLabs });
}

/** Resolves with null if the lab does not exist (any more), or the user can't see it. */
export async function fetchLab(id: string): Promise<Lab | null> {
  try {
    return await bodyOf(api.GET("/api/labs/{id}", { params: { path: { id } } }));
  } catch (error) {
    if (error instanceof RequestError && error.status === 404) {
      return null;
    }
    throw error;
  }
}

export function useLab(id: string) {
  return useQuery({ queryKey: labKey(id), queryFn: () => fetchLab(id) });
}
