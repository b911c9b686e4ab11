import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useState } from "react";

import { Digest } from "@/components/evidence";
import { RolloutStatus } from "@/components/rollout-status";
import { Siblings } from "@/components/siblings";
import { Age } from "@/components/ui/age";
import { AppLink } from "@/components/ui/app-link";
import { Button, LinkButton } from "@/components/ui/button";
import { type Column, DataTable } from "@/components/ui/data-table";
import { DeedDialog } from "@/components/ui/deed-dialog";
import { Empty } from "@/components/ui/empty";
import { Loaded } from "@/components/ui/loading";
import { MoreMenu } from "@/components/ui/more-menu";
import { PageHead } from "@/components/ui/page";
import { Section } from "@/components/ui/section";
import { WaveBar } from "@/components/ui/state-bar";
import { Verdict } from "@/components/ui/verdict";
import { VersionStatus } from "@/components/version-status";
import styles from "@/features/models/models.module.css";
import { VersionEvaluation } from "@/features/models/version-evaluation";
import { useRole } from "@/hooks/use-session";
import { api } from "@/lib/api/client";
import { type VersionAction, versionDenial } from "@/lib/api/capabilities";
import { keys } from "@/lib/api/keys";
import { versionQuery } from "@/lib/api/queries/models";
import { rowsOf } from "@/lib/api/queries/paged";
import { rolloutsQuery } from "@/lib/api/queries/rollouts";
import type { ModelVersion, Rollout, Tensor, Variant } from "@/lib/api/types";
import { formatBytes } from "@/lib/format/bytes";
import { formatFixed, formatRatio, THIN_SPACE } from "@/lib/format/number";
import { sentence, words } from "@/lib/format/text";
import { paths } from "@/lib/path-builder";
import { rolloutSums } from "@/lib/rollout-sums";

type Deed = Exclude<VersionAction, "roll-out">;

const DEEDS: Record<Deed, { title: string; deed: string; text: string; reason: "required" | "optional" }> = {
  "request-approval": { title: "Request approval of", deed: "Request approval", text: "An administrator is asked to approve it. Until then it cannot be rolled out.", reason: "optional" },
  approve: { title: "Approve", deed: "Approve version", text: "Its files become signed targets, and it can be rolled out from then on.", reason: "optional" },
  decline: { title: "Decline", deed: "Decline version", text: "It cannot be rolled out. Approval may be requested again.", reason: "required" },
  deprecate: { title: "Deprecate", deed: "Deprecate version", text: "No new rollout can choose it, and rollouts under way halt. Devices that run it keep it.", reason: "required" },
};

function Actions({ version }: { version: ModelVersion }) {
  const client = useQueryClient();
  const role = useRole();
  const [asked, setAsked] = useState<Deed | null>(null);
  const act = useMutation({
    mutationFn: ({ deed, reason }: { deed: Deed; reason: string }) => api.post<ModelVersion>(`versions/${version.id}/${deed}/`, { reason }),
    onSuccess: async () => {
      await Promise.all([client.invalidateQueries({ queryKey: keys.versions.all }), client.invalidateQueries({ queryKey: keys.models }), client.invalidateQueries({ queryKey: keys.overview })]);
    },
  });
  const name = `${version.model.name} ${version.version}`;
  const deed = (action: Deed) => ({ denial: versionDenial(action, version, role), onClick: () => setAsked(action) });
  return (
    <>
      {version.approval === "requested" ? (
        <>
          <Button {...deed("approve")} look="primary">
            Approve…
          </Button>
          <Button {...deed("decline")}>Decline…</Button>
        </>
      ) : version.approval === "approved" ? (
        <LinkButton to={paths.rolloutPlanner({ version: version.id })} look="primary" icon="plus" denial={versionDenial("roll-out", version, role)}>
          Plan rollout
        </LinkButton>
      ) : (
        <Button {...deed("request-approval")} look="primary">
          Request approval…
        </Button>
      )}
      <MoreMenu items={(Object.keys(DEEDS) as Deed[]).map((action) => ({ key: action, label: `${sentence(words(action.replace("-", " ")))}…`, denial: versionDenial(action, version, role), onSelect: () => setAsked(action) }))} />
      {asked !== null && (
        <DeedDialog title={`${DEEDS[asked].title} ${name}?`} deed={DEEDS[asked].deed} reason={DEEDS[asked].reason} isDangerous={asked === "deprecate"} onClose={() => setAsked(null)} onConfirm={(reason) => act.mutateAsync({ deed: asked, reason })}>
          {DEEDS[asked].text}
        </DeedDialog>
      )}
    </>
  );
}

const VARIANTS: readonly Column<Variant>[] = [
  { key: "name", head: "Variant", cell: (variant) => <b className="b5">{variant.name}</b> },
  { key: "hardware", head: "For", cell: (variant) => variant.hardware_profile?.name ?? <span className="t2">any hardware</span> },
  { key: "size", head: "Size", cell: (variant) => formatBytes(variant.size_bytes), isNumber: true },
  { key: "p95", head: "p95", cell: (variant) => (variant.measured.latency_ms_p95 == null ? <span className="t3">no data</span> : `${variant.measured.latency_ms_p95.toFixed(2)}${THIN_SPACE}ms`), isNumber: true },
  { key: "accuracy", head: "Accuracy", cell: (variant) => (variant.measured.accuracy == null ? <span className="t3">no data</span> : formatRatio(variant.measured.accuracy, 1)), isNumber: true },
  { key: "agreement", head: "Agreement", cell: (variant) => (variant.measured.agreement_ratio == null ? <span className="t3">–</span> : formatRatio(variant.measured.agreement_ratio, 1)), isNumber: true, priority: "medium" },
  { key: "digest", head: "SHA-256", cell: (variant) => <Digest digest={variant.digest} />, priority: "medium" },
];

const TENSORS: readonly Column<Tensor & { side: string }>[] = [
  { key: "side", head: "Side", cell: (tensor) => <span className="t3">{tensor.side}</span> },
  { key: "name", head: "Name", cell: (tensor) => <code className="mono">{tensor.name}</code> },
  { key: "dtype", head: "Type", cell: (tensor) => <code className="mono">{tensor.dtype}</code> },
  { key: "shape", head: "Shape", cell: (tensor) => <code className="mono">[{tensor.shape.join(", ")}]</code> },
];

const ROLLOUTS: readonly Column<Rollout>[] = [
  {
    key: "name",
    head: "Rollout",
    cell: (rollout) => (
      <AppLink to={paths.rollout(rollout.id)} data-row>
        {rollout.name}
      </AppLink>
    ),
  },
  { key: "state", head: "State", cell: (rollout) => <RolloutStatus rollout={rollout} /> },
  { key: "devices", head: "Devices", cell: (rollout) => <div style={{ minWidth: 120 }}><WaveBar waves={rollout.waves} /></div>, priority: "medium" },
  { key: "proven", head: "Proven", cell: (rollout) => rolloutSums(rollout).proven, isNumber: true },
  { key: "created", head: "Planned", cell: (rollout) => <span className="t2"><Age at={rollout.created_at} /></span>, isNumber: true },
];

function Rollouts({ version }: { version: ModelVersion }) {
  const list = useInfiniteQuery(rolloutsQuery({ model: version.model.name }));
  const rollouts = rowsOf(list.data).filter((rollout) => rollout.version_id === version.id);
  return (
    <Section title="Rollouts of it">
      <Loaded query={list} what="The rollouts" rows={2}>
        {() => (rollouts.length === 0 ? <Empty title="Never rolled out.">{version.approval === "approved" ? "Plan rollout starts with it chosen." : "It must be approved first."}</Empty> : <DataTable label="Rollouts of this version" columns={ROLLOUTS} rows={rollouts} rowKey={(rollout) => rollout.id} />)}
      </Loaded>
    </Section>
  );
}

/** What changed since the parent, in at most three lines. */
function changes(version: ModelVersion, parent: ModelVersion | undefined): string[] {
  if (parent === undefined) return version.description === "" ? [] : [version.description];
  const lines = version.description === "" ? [] : [version.description];
  const [accuracy, before] = [version.evaluation?.accuracy, parent.evaluation?.accuracy];
  if (accuracy != null && before != null) lines.push(`Accuracy ${formatRatio(before, 1)} → ${formatRatio(accuracy, 1)} on ${version.evaluation_set?.name ?? "its evaluation set"}.`);
  const [p95, p95Before] = [version.evaluation?.latency_ms_p95, parent.evaluation?.latency_ms_p95];
  if (p95 != null && p95Before != null) lines.push(`Latency p95 ${formatFixed(p95Before, 2)} → ${formatFixed(p95, 2)}${THIN_SPACE}ms on this server.`);
  return lines.slice(0, 3);
}

function Facts({ version }: { version: ModelVersion }) {
  const { details, lineage } = version;
  return (
    <dl className={styles.facts}>
      <dt>Published</dt>
      <dd>
        <Age at={version.created_at} />
        {version.created_by !== null && ` by ${version.created_by.name}`}
      </dd>
      <dt>Parent</dt>
      <dd>{version.parent === null ? <span className="t3">none</span> : <AppLink className="link" to={paths.version(version.parent.id)}>{version.model.name} {version.parent.version}</AppLink>}</dd>
      {Object.entries(lineage).map(([key, value]) => [
        <dt key={key}>{sentence(key)}</dt>,
        <dd key={`${key}-value`} className="mono">
          {value}
        </dd>,
      ])}
      <dt>Format</dt>
      <dd>
        {details.format ?? "not inspected"}
        {details.opset !== undefined && `, opset ${details.opset}`}
        {details.producer !== undefined && details.producer !== "" && `, by ${details.producer}`}
      </dd>
      {details.operators !== undefined && (
        <>
          <dt>Operators</dt>
          <dd className="mono">{details.operators.join(" ")}</dd>
        </>
      )}
      <dt>Signing</dt>
      <dd>{version.signing_mode === "online-key" ? "online key: this server signs it" : "release key: signed outside this server"}</dd>
      <dt>Reference</dt>
      <dd>
        {version.has_reference_profile ? (
          <AppLink className="link" to={paths.drift({ version_id: version.id })}>
            profile present: drift
          </AppLink>
        ) : (
          <span className="t3">no profile: drift cannot be judged</span>
        )}
      </dd>
    </dl>
  );
}

export function VersionPage() {
  const { id = "" } = useParams({ strict: false });
  const query = useQuery(versionQuery(id));
  const version = query.data;
  const parent = useQuery({ ...versionQuery(version?.parent?.id ?? ""), enabled: version?.parent != null });
  const stores = version?.variants.flatMap((variant) => variant.stores.map((store) => ({ ...store, variant: variant.name, size: variant.size_bytes }))) ?? [];
  return (
    <>
      <PageHead
        title={version === undefined ? "Version" : `${version.model.name} ${version.version}`}
        crumbs={[{ text: "Models", to: paths.models() }]}
        status={
          version !== undefined && (
            <>
              <VersionStatus state={version.state} approval={version.approval} by={version.approved_by?.name} isPill />
              <Siblings listKey={keys.versions.lists} id={id} path={paths.version} />
            </>
          )
        }
        context={version !== undefined && changes(version, parent.data).map((line) => <div key={line}>{line}</div>)}
        actions={version !== undefined && <Actions version={version} />}
      />
      <Loaded query={query} what="This version" rows={10}>
        {(data) => (
          <>
            {data.state_reason !== null && (
              <Verdict kind="stop" icon="failed">
                <b>{data.state_reason.text}</b> <code className="mono t3">{data.state_reason.code}</code>
              </Verdict>
            )}
            {data.approval === "declined" && data.approval_reason !== "" && (
              <Verdict kind="stop" icon="failed">
                <b>Declined{data.approved_by !== null && ` by ${data.approved_by.name}`}.</b> {data.approval_reason}
              </Verdict>
            )}
            <div className={`cols ${styles.columns ?? ""}`}>
              <div className="stack">
                <Section title="Evaluation" meta={data.evaluation_set === null ? "no evaluation set" : `on ${data.evaluation_set.name}`}>
                  <VersionEvaluation version={data} parent={parent.data} />
                </Section>
                <Section title="Variants" meta="one form per hardware">
                  {data.variants.length === 0 ? <Empty title="No variant yet.">Validation makes the first one from the file.</Empty> : <DataTable label="Variants" columns={VARIANTS} rows={data.variants} rowKey={(variant) => variant.id} />}
                </Section>
                <Rollouts version={data} />
              </div>
              <div className="stack">
                <Section title="What it is">
                  <Facts version={data} />
                </Section>
                <Section title="Schema" meta="inputs and outputs">
                  {data.inputs.length + data.outputs.length === 0 ? (
                    <Empty title="Not inspected yet." />
                  ) : (
                    <DataTable label="Schema" columns={TENSORS} rows={[...data.inputs.map((tensor) => ({ ...tensor, side: "in" })), ...data.outputs.map((tensor) => ({ ...tensor, side: "out" }))]} rowKey={(tensor) => `${tensor.side}-${tensor.name}`} />
                  )}
                </Section>
                <Section title="Where the bytes are" meta="per store">
                  {stores.length === 0 ? (
                    <Empty title="In no store yet." />
                  ) : (
                    <DataTable
                      label="Copies"
                      rows={stores}
                      rowKey={(copy) => `${copy.variant}-${copy.name}`}
                      columns={[
                        { key: "store", head: "Store", cell: (copy) => copy.name },
                        { key: "variant", head: "Variant", cell: (copy) => <span className="t2">{copy.variant}</span> },
                        { key: "size", head: "Size", cell: (copy) => formatBytes(copy.size), isNumber: true },
                        { key: "since", head: "Since", cell: (copy) => <span className="t2"><Age at={copy.created_at} /></span>, isNumber: true },
                      ]}
                    />
                  )}
                </Section>
              </div>
            </div>
          </>
        )}
      </Loaded>
    </>
  );
}
