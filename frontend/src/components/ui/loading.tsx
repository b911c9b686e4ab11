import type { UseQueryResult } from "@tanstack/react-query";
import type { CSSProperties, ReactNode } from "react";

import { LoadError } from "@/components/ui/load-error";
import styles from "@/components/ui/message.module.css";
import { useDelayed } from "@/hooks/use-delayed";

const WIDTHS = [86, 98, 72, 110, 90];

/** Rows that stand for rows to come; nothing at all for answers quicker than 300 ms. */
export function Skeleton({ rows = 5 }: { rows?: number }) {
  const isShown = useDelayed(true);
  return (
    <div role="status" aria-label="Loading" aria-busy="true">
      {isShown &&
        Array.from({ length: rows }, (_, row) => (
          <div key={row} className={styles.line}>
            <span className={styles.skeleton} style={{ "--skeleton-width": `${WIDTHS[row % WIDTHS.length] ?? 90}px` } as CSSProperties} />
            <span className={styles.skeleton} style={{ "--skeleton-width": `${70 - 8 * (row % 3)}%` } as CSSProperties} />
            <span className={styles.skeleton} style={{ "--skeleton-width": "100%" } as CSSProperties} />
          </div>
        ))}
    </div>
  );
}

interface LoadedProps<T> {
  query: Pick<UseQueryResult<T>, "data" | "error" | "refetch">;
  what: string;
  rows?: number;
  children: (data: T) => ReactNode;
}

/** Loading, error and content of one question. What was loaded before stays while it is asked again or fails. */
export function Loaded<T>({ query, what, rows = 5, children }: LoadedProps<T>) {
  const { data, error, refetch } = query;
  if (data === undefined) {
    return error === null ? <Skeleton rows={rows} /> : <LoadError what={what} error={error} onRetry={() => void refetch()} />;
  }
  return (
    <>
      {error !== null && <LoadError what={what} error={error} onRetry={() => void refetch()} />}
      {children(data)}
    </>
  );
}
