import { useQueryClient } from "@tanstack/react-query";

import { AppLink } from "@/components/ui/app-link";
import { type Pages, rowsOf } from "@/lib/api/queries/paged";

interface SiblingsProps {
  /** Where lists of these objects are kept. */
  listKey: readonly string[];
  id: string;
  path: (id: string) => string;
}

/** The objects before and after this one in the list it was opened from; reached by `[` and `]`. */
export function Siblings({ listKey, id, path }: SiblingsProps) {
  const client = useQueryClient();
  const lists = client.getQueriesData<Pages<{ id: string }>>({ queryKey: listKey });
  for (const [, list] of lists) {
    const ids = rowsOf(list).map((row) => row.id);
    const at = ids.indexOf(id);
    if (at < 0) continue;
    const [previous, next] = [ids[at - 1], ids[at + 1]];
    return (
      <>
        {previous !== undefined && (
          <AppLink to={path(previous)} data-sibling="previous" className="t3" aria-label="Previous" title="Previous [">
            ‹
          </AppLink>
        )}
        {next !== undefined && (
          <AppLink to={path(next)} data-sibling="next" className="t3" aria-label="Next" title="Next ]">
            ›
          </AppLink>
        )}
      </>
    );
  }
  return null;
}
