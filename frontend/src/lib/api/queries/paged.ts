import { type InfiniteData, infiniteQueryOptions, type QueryKey } from "@tanstack/react-query";

import { api, cursorOf, type Query } from "@/lib/api/client";
import type { Page } from "@/lib/api/types";

export type Pages<T> = InfiniteData<Page<T>, string | null>;

/** A list that is read page by page behind a key; `limit` rows at a time. */
export function pagedQuery<T>(queryKey: QueryKey, path: string, filter: Query, limit = 50) {
  return infiniteQueryOptions<Page<T>, Error, Pages<T>, QueryKey, string | null>({
    queryKey,
    queryFn: ({ pageParam, signal }) => api.get<Page<T>>(path, { ...filter, limit, cursor: pageParam }, signal),
    initialPageParam: null,
    getNextPageParam: (page) => cursorOf(page.next),
  });
}

/** All rows read so far. */
export function rowsOf<T>(data: Pages<T> | undefined): T[] {
  return data?.pages.flatMap((page) => page.results) ?? [];
}
