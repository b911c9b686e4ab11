import { queryOptions } from "@tanstack/react-query";

import { api } from "@/lib/api/client";
import { keys } from "@/lib/api/keys";
import { pagedQuery } from "@/lib/api/queries/paged";
import type { Device, DeviceEvent, DeviceFacets, DeviceSummary, EnrolmentToken, HardwareProfile, Named, Page, Series, Site, Why } from "@/lib/api/types";
import type { DeviceFilter } from "@/lib/path-builder";

const SERIES_POINTS = 720;

export const devicesQuery = (filter: DeviceFilter) => pagedQuery<Device>(keys.devices.list(filter), "devices/", { ...filter }, 100);

export const deviceFacetsQuery = (filter: DeviceFilter) =>
  queryOptions({
    queryKey: keys.devices.facetsOf(filter),
    queryFn: ({ signal }) => api.get<DeviceFacets>("devices/facets/", { ...filter }, signal),
  });

export const deviceSummaryQuery = queryOptions({
  queryKey: keys.devices.summary,
  queryFn: ({ signal }) => api.get<DeviceSummary>("devices/summary/", {}, signal),
});

export const deviceQuery = (id: string) =>
  queryOptions({ queryKey: keys.devices.detail(id), queryFn: ({ signal }) => api.get<Device>(`devices/${id}/`, {}, signal) });

/** Newest `hours` of a device's series, thinned by the server. */
export const deviceSeriesQuery = (id: string, kind: "health" | "windows", hours: number) =>
  queryOptions({
    queryKey: keys.devices.seriesOf(id, kind, hours),
    queryFn: ({ signal }) => api.get<Series>(`devices/${id}/${kind}/`, { since: new Date(Date.now() - hours * 3_600_000).toISOString(), points: SERIES_POINTS }, signal),
  });

export const deviceEventsQuery = (id: string) => pagedQuery<DeviceEvent>(keys.devices.events(id), `devices/${id}/events/`, {}, 30);

export const deviceWhyQuery = (id: string) =>
  queryOptions({ queryKey: keys.devices.why(id), queryFn: ({ signal }) => api.get<Why>(`devices/${id}/why/`, {}, signal) });

export const enrolmentTokensQuery = pagedQuery<EnrolmentToken>(keys.enrolmentTokens, "enrolment-tokens/", {});

/** Sites, regions and profiles are few: one page of 200 names is what a field offers. */
const placeQuery = <T>(kind: "sites" | "regions" | "hardware-profiles") =>
  queryOptions({
    queryKey: keys.places(kind),
    queryFn: async ({ signal }) => (await api.get<Page<T>>(`${kind}/`, { limit: 200 }, signal)).results,
    staleTime: 60_000,
  });

export const sitesQuery = placeQuery<Site>("sites");
export const regionsQuery = placeQuery<Named>("regions");
export const hardwareProfilesQuery = placeQuery<HardwareProfile>("hardware-profiles");
