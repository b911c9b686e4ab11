import { queryOptions } from "@tanstack/react-query";

import { api } from "@/lib/api/client";
import { keys } from "@/lib/api/keys";
import { pagedQuery } from "@/lib/api/queries/paged";
import type { EvaluationSet, Model, ModelVersion, Page } from "@/lib/api/types";

export interface VersionFilter {
  model?: string | undefined;
  state?: string | undefined;
  approval?: string | undefined;
}

export const modelsQuery = pagedQuery<Model>(keys.models, "models/", {}, 100);

export const versionsQuery = (filter: VersionFilter) => pagedQuery<ModelVersion>(keys.versions.list(filter), "versions/", { ...filter }, 100);

export const versionQuery = (id: string) =>
  queryOptions({ queryKey: keys.versions.detail(id), queryFn: ({ signal }) => api.get<ModelVersion>(`versions/${id}/`, {}, signal) });

export const evaluationSetsQuery = (modelId: string) =>
  queryOptions({
    queryKey: keys.evaluationSets(modelId),
    queryFn: async ({ signal }) => (await api.get<Page<EvaluationSet>>(`models/${modelId}/evaluation-sets/`, { limit: 200 }, signal)).results,
  });
