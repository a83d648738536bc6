import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, bodyOf, ifMatch } from "../../../shared/api/client";
import type { Image } from "../../../shared/api/types";
import { type ImageLists, applyToImages } from "../liveImages";
import { imagesKey } from "./listImages";

type ImageEdit = Partial<Pick<Image, "displayName" | "description" | "tags" | "firmware" | "tpm">>;

/** Changes an image's name, description and other metadata; its ID does not change. */
export function useEditImage({ id, version }: Image) {
  const queries = useQueryClient();
  const [read] = useState(version); // when the dialog opened
  return useMutation({
    mutationFn: (edit: ImageEdit) =>
      bodyOf(api.PATCH("/api/images/{id}", { params: { path: { id }, header: ifMatch(read) }, body: edit })),
    onSuccess: (image) =>
      queries.setQueryData<ImageLists>(
        imagesKey,
        (lists) => lists && applyToImages(lists, { type: "image.changed", image }),
      ),
  });
}

/** What uses an image; reloaded on each visit, and when the number of nodes changes. */
export function useImageUsers({ id, usedBy }: Pick<Image, "id" | "usedBy">) {
  return useQuery({
    queryKey: ["image users", id, usedBy],
    queryFn: () => bodyOf(api.GET("/api/images/{id}/users", { params: { path: { id } } })),
    staleTime: 0,
  });
}
