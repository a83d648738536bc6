import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { api, bodyOf, done, pagesOf } from "../../../shared/api/client";
import type { Token } from "../../../shared/api/types";
import { confirming } from "../confirm";

export const tokensKey = ["tokens"] as const;

export async function fetchTokens(): Promise<Token[]> {
  const pages = await pagesOf((query) => api.GET("/api/tokens", { params: { query } }));
  return pages.flatMap(({ tokens }) => tokens);
}

/** The tokens that the user may see; reloaded on each visit to show when each was last used. */
export function useTokens() {
  return useQuery({ queryKey: tokensKey, queryFn: fetchTokens, staleTime: 0 });
}

interface TokenRequest {
  name: string;
  /** RFC 3339; without it the token never expires. */
  expires?: string;
}

/** Resolves with the token and its secret, which the service returns only once. */
export async function createToken(request: TokenRequest): Promise<Token> {
  return confirming(() => bodyOf(api.POST("/api/tokens", { body: request })));
}

export function useCreateToken() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: createToken,
    onSettled: () => queries.invalidateQueries({ queryKey: tokensKey }),
    gcTime: 0, // the response contains the secret
  });
}

export async function deleteToken(id: string): Promise<void> {
  await done(api.DELETE("/api/tokens/{id}", { params: { path: { id } } }));
}

export function useDeleteToken(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () => deleteToken(id),
    onSettled: () => queries.invalidateQueries({ queryKey: tokensKey }),
  });
}
