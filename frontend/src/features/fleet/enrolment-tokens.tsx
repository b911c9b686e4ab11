import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { Age } from "@/components/ui/age";
import { AppLink } from "@/components/ui/app-link";
import { Button } from "@/components/ui/button";
import { type Column, DataTable, More } from "@/components/ui/data-table";
import { DeedDialog } from "@/components/ui/deed-dialog";
import { Empty } from "@/components/ui/empty";
import { Loaded } from "@/components/ui/loading";
import { Status } from "@/components/ui/status";
import { useRole } from "@/hooks/use-session";
import { api } from "@/lib/api/client";
import { tokenRevokeDenial } from "@/lib/api/capabilities";
import { keys } from "@/lib/api/keys";
import { enrolmentTokensQuery } from "@/lib/api/queries/fleet";
import { rowsOf } from "@/lib/api/queries/paged";
import type { EnrolmentToken } from "@/lib/api/types";
import { paths } from "@/lib/path-builder";

/** Tokens that were made: which are open, who came in with which. */
export function EnrolmentTokens() {
  const client = useQueryClient();
  const role = useRole();
  const list = useInfiniteQuery(enrolmentTokensQuery);
  const [revoked, setRevoked] = useState<EnrolmentToken | null>(null);
  const tokens = rowsOf(list.data);
  const columns: Column<EnrolmentToken>[] = [
    { key: "prefix", head: "Token", cell: (token) => <code className="mono">{token.prefix}…</code> },
    { key: "name", head: "Name", cell: (token) => token.name || <span className="t3">–</span> },
    { key: "state", head: "State", cell: (token) => <Status thing="token" state={token.state} /> },
    { key: "site", head: "Site", cell: (token) => token.site?.name ?? <span className="t3">–</span>, priority: "medium" },
    { key: "used", head: "Let in", cell: (token) => (token.used_by === null ? <span className="t3">–</span> : <AppLink className="link" to={paths.device(token.used_by.id)}>{token.used_by.name}</AppLink>) },
    { key: "expires", head: "Expires", cell: (token) => <span className="t2"><Age at={token.expires_at} /></span>, isNumber: true, priority: "medium" },
    {
      key: "revoke",
      head: "Action",
      isNumber: true,
      cell: (token) => (
        <Button denial={tokenRevokeDenial(token, role, "operator")} onClick={() => setRevoked(token)}>
          Revoke…
        </Button>
      ),
    },
  ];
  return (
    <>
      <Loaded query={list} what="The list of enrolment tokens">
        {() =>
          tokens.length === 0 ? (
            <Empty title="No enrolment token yet.">Enrol device makes one. It lets one device in, once.</Empty>
          ) : (
            <>
              <DataTable label="Enrolment tokens" columns={columns} rows={tokens} rowKey={(token) => token.id} />
              <More shown={tokens.length} query={list} />
            </>
          )
        }
      </Loaded>
      {revoked !== null && (
        <DeedDialog
          title={`Revoke ${revoked.name || revoked.prefix}?`}
          deed="Revoke token"
          isDangerous
          onClose={() => setRevoked(null)}
          onConfirm={async (reason) => {
            await api.post(`enrolment-tokens/${revoked.id}/revoke/`, { reason });
            await client.invalidateQueries({ queryKey: keys.enrolmentTokens });
          }}
        >
          No device can enrol with it any more. Devices that came in already stay.
        </DeedDialog>
      )}
    </>
  );
}
