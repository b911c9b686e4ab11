import { Modal, Select, TextInput } from "@mantine/core";
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { type SyntheticEvent, useState } from "react";

import { Age } from "@/components/ui/age";
import { Button } from "@/components/ui/button";
import { CopyLine } from "@/components/ui/copy-line";
import { type Column, DataTable, More } from "@/components/ui/data-table";
import { DeedDialog } from "@/components/ui/deed-dialog";
import { Empty } from "@/components/ui/empty";
import { Loaded } from "@/components/ui/loading";
import { Section } from "@/components/ui/section";
import { Status } from "@/components/ui/status";
import { useFocusReturn } from "@/hooks/use-focus-return";
import { useRole } from "@/hooks/use-session";
import { api, ApiError } from "@/lib/api/client";
import { createDenial, tokenRevokeDenial } from "@/lib/api/capabilities";
import { keys } from "@/lib/api/keys";
import { apiTokensQuery } from "@/lib/api/queries/insights";
import { rowsOf } from "@/lib/api/queries/paged";
import type { ApiToken, ApiTokenCreated, Role } from "@/lib/api/types";

const ROLES: readonly { value: Role; label: string }[] = [
  { value: "viewer", label: "Viewer: reads" },
  { value: "operator", label: "Operator: also enrols, publishes, rolls out" },
  { value: "administrator", label: "Administrator: also approves and manages" },
];

const LIFETIMES = [
  { value: "2592000", label: "30 days" },
  { value: "7776000", label: "90 days" },
  { value: "31536000", label: "1 year" },
];

function MakeToken({ onClose }: { onClose: () => void }) {
  useFocusReturn();
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("viewer");
  const [lifetime, setLifetime] = useState("7776000");
  const [hasTried, setHasTried] = useState(false);
  const make = useMutation({ mutationFn: () => api.post<ApiTokenCreated>("api-tokens/", { name, role, expires_in_s: Number(lifetime) }), onSuccess: () => client.invalidateQueries({ queryKey: keys.apiTokens }) });
  const token = make.data?.token;
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    setHasTried(true);
    if (name.trim() !== "") make.mutate();
  };
  return (
    <Modal opened onClose={onClose} title={token === undefined ? "Make API token" : "Copy the token now"} closeButtonProps={{ "aria-label": "Close" }}>
      {token !== undefined ? (
        <div className="stack">
          <p className="t2">Only its digest is kept: it is shown this once.</p>
          <CopyLine label="API token" text={token} />
          <div className="row" style={{ justifyContent: "flex-end" }}>
            <Button look="primary" onClick={onClose}>
              Done
            </Button>
          </div>
        </div>
      ) : (
        <form className="stack" onSubmit={submit} noValidate>
          <TextInput label="Name" description="what uses it" data-autofocus value={name} onChange={(event) => setName(event.currentTarget.value)} error={hasTried && name.trim() === "" ? "Enter what uses it." : make.error instanceof ApiError ? make.error.fields["name"] : undefined} />
          <Select label="May" allowDeselect={false} data={[...ROLES]} value={role} onChange={(value) => value !== null && setRole(value)} />
          <Select label="Valid for" allowDeselect={false} data={LIFETIMES} value={lifetime} onChange={(value) => value !== null && setLifetime(value)} />
          {make.error !== null && (
            <p className="crit" role="alert">
              {make.error.message}
            </p>
          )}
          <div className="row" style={{ justifyContent: "flex-end" }}>
            <Button onClick={onClose}>Cancel</Button>
            <Button type="submit" look="primary" isBusy={make.isPending}>
              Make token
            </Button>
          </div>
        </form>
      )}
    </Modal>
  );
}

export function ApiTokens() {
  const client = useQueryClient();
  const role = useRole();
  const list = useInfiniteQuery(apiTokensQuery);
  const tokens = rowsOf(list.data);
  const [isMaking, setIsMaking] = useState(false);
  const [revoked, setRevoked] = useState<ApiToken | null>(null);
  const columns: Column<ApiToken>[] = [
    { key: "name", head: "Name", cell: (token) => token.name },
    { key: "prefix", head: "Token", cell: (token) => <code className="mono">{token.prefix}…</code> },
    { key: "role", head: "Role", cell: (token) => <span className="t2">{token.role}</span> },
    { key: "state", head: "State", cell: (token) => <Status thing="token" state={token.state} /> },
    { key: "used", head: "Last used", cell: (token) => <span className="t2"><Age at={token.last_used_at} /></span>, isNumber: true, priority: "medium" },
    { key: "expires", head: "Expires", cell: (token) => <span className="t2"><Age at={token.expires_at} none="never" /></span>, isNumber: true, priority: "medium" },
    {
      key: "revoke",
      head: "Action",
      isNumber: true,
      cell: (token) => (
        <Button denial={tokenRevokeDenial(token, role, "administrator")} onClick={() => setRevoked(token)}>
          Revoke…
        </Button>
      ),
    },
  ];
  return (
    <Section
      isBare
      title="API tokens"
      meta="for CI, scripts and integrations"
      end={
        <Button icon="plus" denial={createDenial("api-token", role)} onClick={() => setIsMaking(true)}>
          Make token
        </Button>
      }
    >
      <Loaded query={list} what="The list of tokens" rows={3}>
        {() =>
          tokens.length === 0 ? (
            <Empty title="No API token yet.">A token lets a script call the API with a role of its own.</Empty>
          ) : (
            <>
              <DataTable label="API tokens" columns={columns} rows={tokens} rowKey={(token) => token.id} />
              <More shown={tokens.length} query={list} />
            </>
          )
        }
      </Loaded>
      {isMaking && <MakeToken onClose={() => setIsMaking(false)} />}
      {revoked !== null && (
        <DeedDialog
          title={`Revoke ${revoked.name}?`}
          deed="Revoke token"
          isDangerous
          onClose={() => setRevoked(null)}
          onConfirm={async (reason) => {
            await api.post(`api-tokens/${revoked.id}/revoke/`, { reason });
            await client.invalidateQueries({ queryKey: keys.apiTokens });
          }}
        >
          Requests with it are refused from now on.
        </DeedDialog>
      )}
    </Section>
  );
}
