import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";

import { Age } from "@/components/ui/age";
import { AppLink } from "@/components/ui/app-link";
import { Choice } from "@/components/ui/choice";
import { type Column, DataTable, More } from "@/components/ui/data-table";
import { Empty } from "@/components/ui/empty";
import { Loaded } from "@/components/ui/loading";
import { PageHead } from "@/components/ui/page";
import { useSearchState } from "@/hooks/use-search-state";
import { auditQuery } from "@/lib/api/queries/insights";
import { rowsOf } from "@/lib/api/queries/paged";
import type { AuditEntry } from "@/lib/api/types";
import { formatCount } from "@/lib/format/number";
import { words } from "@/lib/format/text";
import { paths } from "@/lib/path-builder";

const COLUMNS: readonly Column<AuditEntry>[] = [
  { key: "number", head: "No.", cell: (entry) => <span className="t3">{formatCount(entry.number)}</span> },
  { key: "at", head: "When", cell: (entry) => <Age at={entry.at} /> },
  { key: "who", head: "Who", cell: (entry) => entry.actor.name ?? `${entry.actor.kind} ${entry.actor.id.slice(0, 8)}` },
  { key: "action", head: "What", cell: (entry) => <code className="mono">{entry.action}</code> },
  {
    key: "object",
    head: "Object",
    cell: (entry) => {
      const to = paths.object(entry.object.kind, entry.object.id);
      const name = entry.object.name ?? `${words(entry.object.kind)} ${entry.object.id.slice(0, 8)}`;
      return to === null ? <span className="t2">{name}</span> : <AppLink className="link" to={to} data-row>{name}</AppLink>;
    },
  },
  { key: "reason", head: "Reason", cell: (entry) => entry.reason || <span className="t3">–</span>, priority: "medium" },
];

const KINDS = ["device", "version", "rollout", "alert", "enrolment_token", "api_token"] as const;

export function AuditPage() {
  const [search, setSearch] = useSearchState();
  const filter = { object_kind: search["object_kind"], action: search["action"] };
  const list = useInfiniteQuery({ ...auditQuery(filter), placeholderData: keepPreviousData });
  const entries = rowsOf(list.data);
  const newest = entries[0]?.number;
  return (
    <>
      <PageHead
        title="Audit"
        context={newest === undefined ? "What people, tokens and jobs did. Nothing in it can be changed." : `Newest entry is number ${formatCount(newest)}. Numbers have no gaps; nothing in it can be changed.`}
        actions={<Choice label="Object" value={search["object_kind"] ?? ""} options={[{ value: "", label: "all" }, ...KINDS.map((kind) => ({ value: kind, label: words(kind) }))]} onChange={(kind) => setSearch({ object_kind: kind })} />}
      />
      <Loaded query={list} what="The audit log" rows={10}>
        {() =>
          entries.length === 0 ? (
            <Empty title="No entry matches.">The first action of a person or token makes the first one.</Empty>
          ) : (
            <>
              <DataTable label="Audit log" columns={COLUMNS} rows={entries} rowKey={(entry) => entry.id} isStale={list.isPlaceholderData} />
              <More shown={entries.length} query={list} />
            </>
          )
        }
      </Loaded>
    </>
  );
}
