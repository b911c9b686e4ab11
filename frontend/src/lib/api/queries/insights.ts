import { queryOptions } from "@tanstack/react-query";

import { api } from "@/lib/api/client";
import { keys } from "@/lib/api/keys";
import { pagedQuery } from "@/lib/api/queries/paged";
import type { ApiToken, AuditEntry, Job, Overview, Page, Person, Tour } from "@/lib/api/types";

export const overviewQuery = queryOptions({
  queryKey: keys.overview,
  queryFn: ({ signal }) => api.get<Overview>("overview/", {}, signal),
  // Fleet-wide rates come from telemetry, which sends no frame of its own; everything else arrives by socket at once.
  refetchInterval: 15_000,
});

export const tourQuery = queryOptions({
  queryKey: keys.tour,
  queryFn: ({ signal }) => api.get<Tour>("tour/", {}, signal),
  // The story runs beside the product and has no topic.
  refetchInterval: 3_000,
});

export const jobsQuery = (filter: { state?: string | undefined; kind?: string | undefined }) => pagedQuery<Job>(keys.jobs.list(filter), "jobs/", { ...filter });

export const apiTokensQuery = pagedQuery<ApiToken>(keys.apiTokens, "api-tokens/", {});

export const peopleQuery = queryOptions({
  queryKey: keys.people,
  queryFn: async ({ signal }) => (await api.get<Page<Person>>("people/", { limit: 200 }, signal)).results,
});

export const auditQuery = (filter: { object_kind?: string | undefined; action?: string | undefined }) =>
  pagedQuery<AuditEntry>(keys.audit(filter), "audit/", { ...filter }, 100);
