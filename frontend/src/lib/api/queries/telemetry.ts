import { keepPreviousData, queryOptions } from "@tanstack/react-query";

import { api } from "@/lib/api/client";
import { keys } from "@/lib/api/keys";
import { pagedQuery } from "@/lib/api/queries/paged";
import type { Alert, AlertRule, Drift, DriftCellDetail, Page } from "@/lib/api/types";

export const driftQuery = (choice: { version_id?: string | undefined }) =>
  queryOptions({
    queryKey: keys.drift.map(choice),
    queryFn: ({ signal }) => api.get<Drift>("drift/", { ...choice }, signal),
    placeholderData: keepPreviousData,
  });

export interface CellChoice {
  version_id: string;
  region: string | null;
  hardware_profile: string | null;
  feature: string;
}

export const driftCellQuery = (cell: CellChoice | null) =>
  queryOptions({
    queryKey: keys.drift.cell(cell ?? {}),
    queryFn: ({ signal }) => api.get<DriftCellDetail>("drift/cell/", { ...cell }, signal),
    enabled: cell !== null,
    placeholderData: keepPreviousData,
  });

export interface AlertFilter {
  state?: string | undefined;
  severity?: string | undefined;
}

export const alertsQuery = (filter: AlertFilter) => pagedQuery<Alert>(keys.alerts.list(filter), "alerts/", { ...filter });

export const alertRulesQuery = queryOptions({
  queryKey: keys.alerts.rules,
  queryFn: async ({ signal }) => (await api.get<Page<AlertRule>>("alert-rules/", { limit: 200 }, signal)).results,
});
