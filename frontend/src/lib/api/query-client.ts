import { MutationCache, QueryCache, QueryClient } from "@tanstack/react-query";

import { ApiError } from "@/lib/api/client";
import { keys } from "@/lib/api/keys";

/** The cache of what the server said. The socket keeps it fresh, so nothing is refetched on focus or by age alone. */
export function createQueryClient(): QueryClient {
  const onError = (error: Error) => {
    // A session that ended anywhere ends everywhere: the frame shows the sign-in form.
    if (error instanceof ApiError && error.status === 401) client.setQueryData(keys.session, null);
  };
  const client: QueryClient = new QueryClient({
    queryCache: new QueryCache({ onError }),
    mutationCache: new MutationCache({ onError }),
    defaultOptions: {
      queries: {
        staleTime: 5_000,
        refetchOnWindowFocus: false,
        // What may pass by itself is asked again twice; an answer of 4xx is an answer.
        retry: (count, error) => count < 2 && error instanceof ApiError && (error.status === 0 || error.status >= 500),
        retryDelay: (attempt, error) => (error instanceof ApiError && error.retryAfterS !== null ? error.retryAfterS * 1000 : 500 * 2 ** attempt),
      },
    },
  });
  return client;
}
