import { queryOptions } from "@tanstack/react-query";

import { api, ApiError, setCsrfToken } from "@/lib/api/client";
import { keys } from "@/lib/api/keys";
import type { Session } from "@/lib/api/types";

/** Who is signed in; null when nobody is. */
export const sessionQuery = queryOptions({
  queryKey: keys.session,
  queryFn: async ({ signal }): Promise<Session | null> => {
    try {
      const session = await api.get<Session>("session/", {}, signal);
      setCsrfToken(session.csrf_token);
      return session;
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return null;
      throw error;
    }
  },
  staleTime: Infinity,
});
