import { useMutation } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import type { Job, LabFile } from "../../../shared/api/types";
import { useShowJob } from "../../../shared/jobs/jobs";

/** Starts a job that creates a lab from a file, and resolves with it. */
export function useImportLab() {
  const show = useShowJob();
  return useMutation({
    mutationFn: (file: LabFile): Promise<Job> => bodyOf(api.POST("/api/labs/import", { body: file })),
    onSuccess: show,
  });
}
