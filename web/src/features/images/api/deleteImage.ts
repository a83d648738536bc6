import { useMutation, useQueryClient } from "@tanstack/react-query";

import { api, done } from "../../../shared/api/client";
import { imagesKey } from "./listImages";

export async function deleteImage(id: string): Promise<void> {
  await done(api.DELETE("/api/images/{id}", { params: { path: { id } } }));
}

export function useDeleteImage(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () => deleteImage(id),
    onSettled: () => queries.invalidateQueries({ queryKey: imagesKey }),
  });
}
