import { useMutation, useQueryClient } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import { jobsKey } from "../../../shared/jobs/jobs";

/** A job on an image. */
export type ImageWork = { do: "verify" } | { do: "compact" } | { do: "resize"; virtualSize: number };

/** Starts a job on an image and resolves with it. */
export function useImageWork(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (work: ImageWork) => {
      const params = { path: { id } };
      switch (work.do) {
        case "verify":
          return bodyOf(api.POST("/api/images/{id}/verify", { params }));
        case "compact":
          return bodyOf(api.POST("/api/images/{id}/compact", { params }));
        case "resize":
          return bodyOf(api.POST("/api/images/{id}/resize", { params, body: { virtualSize: work.virtualSize } }));
      }
    },
    onSettled: () => queries.invalidateQueries({ queryKey: jobsKey }),
  });
}
