import { useRouter, useRouterState } from "@tanstack/react-router";
import { useCallback } from "react";

export type SearchState = Record<string, string | undefined>;

/**
 * The address's parameters as state: copying the address reproduces the screen, Back undoes the last choice.
 * `update` merges; undefined or empty removes. `replace` keeps typing from filling the history.
 */
export function useSearchState(): [SearchState, (change: SearchState, options?: { replace?: boolean }) => void] {
  const router = useRouter();
  const search = useRouterState({ select: (state) => state.location.search as SearchState });
  const update = useCallback(
    (change: SearchState, options: { replace?: boolean } = {}) => {
      const { pathname, search: current } = router.state.location as { pathname: string; search: SearchState };
      const parameters = new URLSearchParams();
      for (const [key, value] of Object.entries({ ...current, ...change })) if (value !== undefined && value !== "") parameters.set(key, value);
      const text = parameters.toString();
      const path = text === "" ? pathname : `${pathname}?${text}`;
      if (options.replace === true) router.history.replace(path);
      else router.history.push(path);
    },
    [router],
  );
  return [search, update];
}
