import type { ReactNode } from "react";

import { Button } from "@/components/ui/button";
import styles from "@/components/ui/data-table.module.css";
import { formatCount } from "@/lib/format/number";

export interface Column<T> {
  key: string;
  head: ReactNode;
  cell: (row: T) => ReactNode;
  isNumber?: boolean;
  /** Words that may stand on two lines where there is little room. */
  isProse?: boolean;
  /** Left out first where there is little room. */
  priority?: "always" | "medium" | "wide";
  className?: string | undefined;
}

interface DataTableProps<T> {
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  rowKey: (row: T) => string;
  isSelected?: (row: T) => boolean;
  /** Old rows stay, dimmed, while they are read again for another filter. */
  isStale?: boolean;
}

const classOf = (column: Column<unknown>, index: number) =>
  [column.isNumber === true ? styles.right : "", column.isProse === true ? styles.prose : "", column.priority === "wide" ? styles.wide : column.priority === "medium" ? styles.medium : "", index === 0 ? styles.fixed : "", column.className ?? ""].join(" ");

/** Rows under quiet heads: no zebra, numbers to the right, the first column stays while the rest scrolls inside itself. */
export function DataTable<T>({ label, columns, rows, rowKey, isSelected, isStale = false }: DataTableProps<T>) {
  return (
    <div className={styles.wrap}>
      <table className={`${styles.table ?? ""} ${isStale ? "stale" : ""}`} aria-label={label} aria-busy={isStale}>
        <thead>
          <tr>
            {columns.map((column, index) => (
              <th key={column.key} scope="col" className={classOf(column as Column<unknown>, index)}>
                {column.head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={rowKey(row)} data-selected={isSelected?.(row)}>
              {columns.map((column, index) => (
                <td key={column.key} className={classOf(column as Column<unknown>, index)}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface MoreProps {
  shown: number;
  /** How many there are in all, when that is known. */
  total?: number | undefined;
  query: { hasNextPage: boolean; isFetchingNextPage: boolean; fetchNextPage: () => unknown };
}

/** How much of the list is on screen, and the next page. */
export function More({ shown, total, query }: MoreProps) {
  if (!query.hasNextPage && total === undefined) return null;
  return (
    <div className={styles.foot}>
      <span>
        showing {formatCount(shown)}
        {total !== undefined && ` of ${formatCount(total)}`}
      </span>
      {query.hasNextPage && (
        <Button onClick={() => void query.fetchNextPage()} isBusy={query.isFetchingNextPage}>
          Show more
        </Button>
      )}
    </div>
  );
}
