import { useMutation } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import type { Job, LabFile } from "../../../shared/api/types";
import { useShowJob } from "../../../shared/jobs/jobs";

/** Has the service make a lab of a file; resolves with the job that does. */
export function useImportLab() {
  const show = useShowJob();
  return useMutation({
    mutationFn: (file: LabFile): Promise<Job> => bodyOf(api.POST("/api/labs/import", { body: file })),
    onSuccess: show,
  });
}
