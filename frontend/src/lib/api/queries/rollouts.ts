import { keepPreviousData, queryOptions } from "@tanstack/react-query";

import { api } from "@/lib/api/client";
import { keys } from "@/lib/api/keys";
import { pagedQuery } from "@/lib/api/queries/paged";
import type { Deployment, GateResult, Page, Rollout, RolloutDefaults, RolloutDraft, RolloutEvent, RolloutPreview } from "@/lib/api/types";

export interface RolloutFilter {
  state?: string | undefined;
  model?: string | undefined;
}

export const rolloutsQuery = (filter: RolloutFilter) => pagedQuery<Rollout>(keys.rollouts.list(filter), "rollouts/", { ...filter });

export const rolloutQuery = (id: string) =>
  queryOptions({ queryKey: keys.rollouts.detail(id), queryFn: ({ signal }) => api.get<Rollout>(`rollouts/${id}/`, {}, signal) });

function isPage(body: Page<GateResult> | GateResult[]): body is Page<GateResult> {
  return !Array.isArray(body);
}

export const rolloutGatesQuery = (id: string) =>
  queryOptions({
    queryKey: keys.rollouts.gates(id),
    queryFn: async ({ signal }) => {
      const body = await api.get<Page<GateResult> | GateResult[]>(`rollouts/${id}/gates/`, { limit: 200 }, signal);
      return isPage(body) ? body.results : body;
    },
  });

export const rolloutEventsQuery = (id: string) => pagedQuery<RolloutEvent>(keys.rollouts.events(id), `rollouts/${id}/events/`, {}, 50);

export const rolloutDefaultsQuery = queryOptions({
  queryKey: keys.rollouts.defaults,
  queryFn: ({ signal }) => api.get<RolloutDefaults>("rollouts/defaults/", {}, signal),
  staleTime: Infinity,
});

/** What starting this draft would create. Null draft: nothing to ask yet. */
export const rolloutPreviewQuery = (draft: RolloutDraft | null) =>
  queryOptions({
    queryKey: keys.rollouts.preview(draft ?? {}),
    queryFn: ({ signal }) => api.post<RolloutPreview>("rollouts/preview/", draft, signal),
    enabled: draft !== null,
    placeholderData: keepPreviousData,
    retry: false,
  });

export interface DeploymentFilter {
  rollout?: string | undefined;
  device?: string | undefined;
  state?: string | undefined;
  wave?: number | undefined;
}

export const deploymentsQuery = (filter: DeploymentFilter) => pagedQuery<Deployment>(keys.deployments.list(filter), "deployments/", { ...filter });
