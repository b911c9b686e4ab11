import { useQuery } from "@tanstack/react-query";

import { sessionQuery } from "@/lib/api/queries/session";
import type { Role, Session } from "@/lib/api/types";

/** The signed-in person; null outside a session. Screens are only rendered inside one. */
export function useSession(): Session | null {
  return useQuery(sessionQuery).data ?? null;
}

/** The caller's role; without a session the lowest. */
export function useRole(): Role {
  return useSession()?.role ?? "viewer";
}
