import { useQuery } from "@tanstack/react-query";
import { useProject } from "../shell/root";
import { ServerError } from "./client";

/** The text of a blob of the project. It never changes, so it is read once. */
export function useBlob(digest: string | undefined) {
  const project = useProject();
  return useQuery<string, Error>({
    queryKey: ["blob", project, digest],
    queryFn: async () => {
      const response = await fetch(`/api/v1/projects/${project}/blobs/${digest}`);
      if (!response.ok) throw new ServerError("blob", `the file ${digest} could not be read (${response.status})`, response.status);
      return response.text();
    },
    enabled: !!digest,
    staleTime: Number.POSITIVE_INFINITY,
    meta: { fixed: true },
    retry: 1,
  });
}
