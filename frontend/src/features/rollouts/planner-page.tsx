import { MultiSelect, NumberInput, Select, Switch, TextInput } from "@mantine/core";
import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useRouter } from "@tanstack/react-router";
import { type SyntheticEvent, useState } from "react";

import { AppLink } from "@/components/ui/app-link";
import { Button } from "@/components/ui/button";
import { Empty } from "@/components/ui/empty";
import { Icon } from "@/components/ui/icon";
import { Loaded } from "@/components/ui/loading";
import { PageHead } from "@/components/ui/page";
import { Section } from "@/components/ui/section";
import { type Draft, draftFrom, problemsOf, toRequest } from "@/features/rollouts/draft";
import { GateFields } from "@/features/rollouts/gate-fields";
import { PlanPreview } from "@/features/rollouts/plan-preview";
import styles from "@/features/rollouts/rollouts.module.css";
import { useSearchState } from "@/hooks/use-search-state";
import { useRole } from "@/hooks/use-session";
import { api, ApiError } from "@/lib/api/client";
import { createDenial } from "@/lib/api/capabilities";
import { keys } from "@/lib/api/keys";
import { hardwareProfilesQuery, regionsQuery, sitesQuery } from "@/lib/api/queries/fleet";
import { versionsQuery } from "@/lib/api/queries/models";
import { rowsOf } from "@/lib/api/queries/paged";
import { rolloutDefaultsQuery } from "@/lib/api/queries/rollouts";
import type { Rollout, RolloutDefaults } from "@/lib/api/types";
import { formatDuration } from "@/lib/format/time";
import { paths } from "@/lib/path-builder";

const STEPS = ["Version", "Devices", "Strategy", "Gates", "Limits", "Review"] as const;

interface PlannerProps {
  defaults: RolloutDefaults;
}

function Planner({ defaults }: PlannerProps) {
  const [search] = useSearchState();
  const router = useRouter();
  const client = useQueryClient();
  const role = useRole();
  const [draft, setDraft] = useState<Draft>(() => draftFrom(defaults.policy, search["version"] ?? null));
  const [hasTried, setHasTried] = useState(false);
  const change = (part: Partial<Draft>) => setDraft((old) => ({ ...old, ...part }));
  const versionList = useInfiniteQuery(versionsQuery({ state: "ready", approval: "approved" }));
  const versions = rowsOf(versionList.data);
  const regions = useQuery(regionsQuery);
  const sites = useQuery(sitesQuery);
  const profiles = useQuery(hardwareProfilesQuery);
  const chosen = versions.find((version) => version.id === draft.version);
  // Until a name is typed, the version's own stands.
  const named: Draft = { ...draft, name: draft.name.trim() || (chosen === undefined ? "" : `${chosen.model.name} ${chosen.version}`) };
  const problems = problemsOf(named);
  const shown = hasTried ? problems : {};
  const request = toRequest(named);
  const create = useMutation({
    mutationFn: async (isStart: boolean) => {
      const rollout = await api.post<Rollout>("rollouts/", request);
      if (isStart) await api.post(`rollouts/${rollout.id}/start/`, { reason: "" });
      return rollout;
    },
    onSuccess: async (rollout) => {
      await Promise.all([client.invalidateQueries({ queryKey: keys.rollouts.lists }), client.invalidateQueries({ queryKey: keys.overview })]);
      router.history.push(paths.rollout(rollout.id));
    },
  });
  const submit = (isStart: boolean) => {
    setHasTried(true);
    if (Object.keys(problems).length > 0) {
      // The marks of what is wrong are drawn first, then the first of them gets the focus.
      requestAnimationFrame(() => document.querySelector<HTMLElement>("main [aria-invalid=true], main [data-error]")?.focus());
      return;
    }
    create.mutate(isStart);
  };
  const names = (list: readonly { name: string }[] | undefined) => list?.map((entry) => entry.name) ?? [];
  const remote = create.error instanceof ApiError ? create.error : null;
  const denial = createDenial("rollout", role);
  return (
    <form
      className={styles.planner}
      noValidate
      onSubmit={(event: SyntheticEvent) => {
        event.preventDefault();
        submit(true);
      }}
    >
      <nav className={styles.steps} aria-label="Parts of the plan">
        {STEPS.map((step) => (
          <a key={step} href={`#plan-${step.toLowerCase()}`}>
            <Icon name={step === "Version" && draft.version !== null ? "pass" : "todo"} size={14} />
            {step}
          </a>
        ))}
      </nav>
      <div className="stack">
        <div id="plan-version">
          <Section title="Version">
            <div className={styles.fields}>
              <Select
                label="Version"
                description="ready and approved ones"
                placeholder="Choose"
                searchable
                data={versions.map((version) => ({ value: version.id, label: `${version.model.name} ${version.version}` }))}
                value={draft.version}
                onChange={(version) => change({ version })}
                error={shown.version ?? remote?.fields["version"]}
                nothingFoundMessage="No approved version"
              />
              <TextInput label="Name" description="of the rollout" placeholder={named.name} value={draft.name} onChange={(event) => change({ name: event.currentTarget.value })} error={shown.name ?? remote?.fields["name"]} />
            </div>
            {versionList.data !== undefined && versions.length === 0 && (
              <Empty title="No version can be rolled out yet.">
                Approve one first:{" "}
                <AppLink className="link" to={paths.models()}>
                  Models
                </AppLink>
              </Empty>
            )}
          </Section>
        </div>
        <div id="plan-devices">
          <Section title="Devices" meta="empty fields do not restrict">
            <div className={styles.fields}>
              <MultiSelect label="Regions" placeholder={draft.regions.length === 0 ? "all" : ""} data={names(regions.data)} value={draft.regions} onChange={(value) => change({ regions: value })} clearable />
              <MultiSelect label="Sites" placeholder={draft.sites.length === 0 ? "all" : ""} data={names(sites.data)} value={draft.sites} onChange={(value) => change({ sites: value })} searchable clearable />
              <MultiSelect label="Hardware" placeholder={draft.hardwareProfiles.length === 0 ? "all" : ""} data={names(profiles.data)} value={draft.hardwareProfiles} onChange={(value) => change({ hardwareProfiles: value })} clearable />
              <MultiSelect
                label="That run"
                placeholder={draft.models.length === 0 ? "anything" : ""}
                data={[...new Set(versions.flatMap((version) => [version.model.name, `${version.model.name}@${version.version}`]))]}
                value={draft.models}
                onChange={(value) => change({ models: value })}
                searchable
                clearable
              />
              <TextInput label="Labels" placeholder="aisle=12, lens=wide" value={draft.labels} onChange={(event) => change({ labels: event.currentTarget.value })} error={shown.labels} />
            </div>
          </Section>
        </div>
        <div id="plan-strategy">
          <Section title="Strategy">
            <div className={styles.fields}>
              <Select
                label="Strategy"
                allowDeselect={false}
                data={[
                  { value: "canary", label: "Canary, then growing waves" },
                  { value: "all_at_once", label: "All at once" },
                ]}
                value={draft.strategy}
                onChange={(value) => value !== null && change({ strategy: value })}
                description={draft.strategy === "all_at_once" ? "every selected device is offered it at once" : "each wave waits for the evidence of the one before"}
              />
              {draft.strategy === "canary" && (
                <>
                  <NumberInput label="Canary" suffix=" %" min={0} max={50} decimalScale={1} hideControls value={draft.canaryPercent} onChange={(value) => change({ canaryPercent: Number(value) })} description="of the devices, stratified by region and hardware" error={shown.canaryPercent} />
                  <TextInput label="Waves after it" description="percent reached in all, ends at 100" value={draft.waves} onChange={(event) => change({ waves: event.currentTarget.value })} error={shown.waves} />
                  <NumberInput label="Hold-out" suffix=" %" min={0} max={50} decimalScale={1} hideControls value={draft.holdoutPercent} onChange={(value) => change({ holdoutPercent: Number(value) })} description="released last, the control until then" />
                </>
              )}
            </div>
          </Section>
        </div>
        <div id="plan-gates">
          <Section title="Gates" meta="what stops it by itself">
            <GateFields gates={draft.gates} metrics={defaults.metrics} onChange={(gates) => change({ gates })} />
            {shown.gates !== undefined && (
              <p className="crit s12" role="alert">
                {shown.gates}
              </p>
            )}
          </Section>
        </div>
        <div id="plan-limits">
          <Section title="Limits">
            <div className={styles.fields}>
              <NumberInput label="Soak" suffix=" s" min={0} hideControls value={draft.soakS} onChange={(value) => change({ soakS: Number(value) })} description={`${formatDuration(draft.soakS * 1000)} before a device can be proven`} />
              <NumberInput label="Patience" suffix=" s" min={0} hideControls value={draft.patienceS} onChange={(value) => change({ patienceS: Number(value) })} description={`${formatDuration(draft.patienceS * 1000)} without a verdict before a person is asked`} />
              <NumberInput label="Proven share" suffix=" %" min={0} max={100} hideControls value={draft.provenPercent} onChange={(value) => change({ provenPercent: Number(value) })} description="of a wave's reachable devices before the next" />
              <NumberInput label="Shadow every" suffix="th input" min={0} hideControls value={draft.shadowEvery} onChange={(value) => change({ shadowEvery: Number(value) })} description="also through the previous version; 0 is never" />
              <Select
                label="Evidence that counts"
                allowDeselect={false}
                data={[
                  { value: "observed", label: "Observed: a later poll names it" },
                  { value: "attested", label: "Attested: signed report, clean soak" },
                ]}
                value={draft.evidence}
                onChange={(value) => value !== null && change({ evidence: value })}
                description="a device's word alone never counts"
              />
              <Switch label="Roll back by itself when a gate halts" checked={draft.isRollback} onChange={(event) => change({ isRollback: event.currentTarget.checked })} mt={24} />
            </div>
          </Section>
        </div>
        <div id="plan-review">
          <Section title="Review">
            <p className="t2" style={{ marginBottom: 10 }}>
              {chosen === undefined ? "Nothing is chosen yet." : `${chosen.model.name} ${chosen.version}, ${draft.strategy === "canary" ? `canary ${draft.canaryPercent} % then ${draft.waves} %` : "all at once"}, ${draft.gates.length} gates, ${draft.isRollback ? "rolls back by itself" : "halts and waits for a person"}. The preview shows what starting makes.`}
            </p>
            {create.error !== null && (
              <p className="crit" role="alert" style={{ marginBottom: 10 }}>
                {create.error.message} {remote !== null && <code className="mono t3">{[remote.code, ...Object.entries(remote.fields).map(([field, text]) => `${field}: ${text}`)].join(" · ")}</code>}
              </p>
            )}
            <div className="row">
              <Button type="submit" look="primary" isBusy={create.isPending} denial={denial}>
                Start rollout
              </Button>
              <Button isBusy={create.isPending} denial={denial} onClick={() => submit(false)}>
                Save draft
              </Button>
            </div>
          </Section>
        </div>
      </div>
      <aside className={styles.preview} aria-label="Preview">
        <PlanPreview draft={request} />
      </aside>
    </form>
  );
}

export function PlannerPage() {
  const defaults = useQuery(rolloutDefaultsQuery);
  return (
    <>
      <PageHead title="Plan rollout" crumbs={[{ text: "Rollouts", to: paths.rollouts() }]} />
      <Loaded query={defaults} what="The planner" rows={10}>
        {(data) => <Planner defaults={data} />}
      </Loaded>
    </>
  );
}
