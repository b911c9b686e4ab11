import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";

import { RolloutStatus } from "@/components/rollout-status";
import { Siblings } from "@/components/siblings";
import { AppLink } from "@/components/ui/app-link";
import { DataTable, More } from "@/components/ui/data-table";
import { Empty } from "@/components/ui/empty";
import { EventLog } from "@/components/ui/event-log";
import { Loaded } from "@/components/ui/loading";
import { PageHead } from "@/components/ui/page";
import { Section } from "@/components/ui/section";
import { Tabs } from "@/components/ui/tabs";
import { DeploymentsTable } from "@/features/rollouts/deployments-table";
import { DevicesByState } from "@/features/rollouts/devices-by-state";
import { GateList } from "@/features/rollouts/gate-list";
import { GatePlots } from "@/features/rollouts/gate-plots";
import { CONTROL_WORDS, gateUnit, isDifference } from "@/features/rollouts/gate-values";
import { PolicyFacts } from "@/features/rollouts/policy-facts";
import { RolloutActions } from "@/features/rollouts/rollout-actions";
import styles from "@/features/rollouts/rollouts.module.css";
import { selectorText, STRATEGY_WORDS } from "@/features/rollouts/selector-text";
import { VerdictLine } from "@/features/rollouts/verdict-line";
import { WavesTable } from "@/features/rollouts/waves-table";
import { useSearchState } from "@/hooks/use-search-state";
import { keys } from "@/lib/api/keys";
import { rowsOf } from "@/lib/api/queries/paged";
import { rolloutEventsQuery, rolloutGatesQuery, rolloutQuery } from "@/lib/api/queries/rollouts";
import type { GateResult, Rollout } from "@/lib/api/types";
import { formatCount, formatGateValue, formatShare, plural } from "@/lib/format/number";
import { sentence, words } from "@/lib/format/text";
import { formatClock } from "@/lib/format/time";
import { useLiveTopics } from "@/lib/live/live-context";
import { paths } from "@/lib/path-builder";
import { rolloutSums, versionStep } from "@/lib/rollout-sums";

const SEVERITY: Record<GateResult["verdict"], number> = { harm: 0, cannot_compute: 1, missing_devices: 2, not_enough_data: 3, pass: 4 };

/** The gate worth looking at first: the one that stops, else the one that holds. */
function mostTelling(gates: readonly GateResult[]): GateResult | undefined {
  return gates.toSorted((a, b) => SEVERITY[a.verdict] - SEVERITY[b.verdict])[0];
}

function Events({ rollout }: { rollout: Rollout }) {
  const list = useInfiniteQuery(rolloutEventsQuery(rollout.id));
  const events = rowsOf(list.data);
  return (
    <Section title="Events" end={<span>UTC</span>} className={styles.events}>
      <Loaded query={list} what="The events" rows={6}>
        {() => (
          <>
            {events.length === 0 && <Empty title="Nothing has happened yet." />}
            <EventLog label="What happened" lines={events.map((event) => ({ ...event, to: typeof event.data["device_id"] === "string" ? paths.device(event.data["device_id"]) : null }))} />
            <More shown={events.length} query={list} />
          </>
        )}
      </Loaded>
    </Section>
  );
}

function Where({ gate }: { gate: GateResult }) {
  const where = gate.data.where ?? [];
  if (where.length === 0) return null;
  return (
    <Section title={`Where ${words(gate.gate)} is worse`}>
      <DataTable
        label="Where it is worse"
        rows={where}
        rowKey={(row) => row.segment}
        columns={[
          { key: "segment", head: "Segment", cell: (row) => row.segment },
          { key: "worse", head: "Worse", cell: (row) => `${formatCount(row.worse)} of ${formatCount(row.of)}`, isNumber: true },
          { key: "value", head: sentence(words(gate.metric)), cell: (row) => formatGateValue(row.value, gateUnit(gate) === "relative" ? "relative" : gate.unit, isDifference(gate)), isNumber: true },
        ]}
      />
    </Section>
  );
}

function wavesMeta(rollout: Rollout): string {
  const sums = rolloutSums(rollout);
  if (rollout.state === "rolling_back" || rollout.state === "rolled_back") return `${formatCount(sums.rolledBack)} of ${formatCount(sums.exposed)} rolled back · ${formatCount(sums.proven)} proven and ${formatCount(sums.claimed)} claimed still on ${rollout.version}`;
  return `${formatCount(sums.proven)} of ${formatCount(sums.total)} proven · ${formatShare(sums.proven, sums.total)} · claimed devices do not count`;
}

function gatesMeta(gates: readonly GateResult[], rollout: Rollout): string {
  const first = gates[0];
  if (first === undefined) return "";
  const isFrozen = ["halted", "rolling_back", "rolled_back", "completed"].includes(rollout.state);
  const newest = gates.reduce((latest, gate) => (gate.at > latest ? gate.at : latest), first.at);
  const scale = "each scaled to its own harm bound, left is better";
  return `${isFrozen ? `frozen at ${formatClock(newest, { seconds: true })}` : scale} · ${formatCount(first.treated_count)} treated, ${formatCount(first.control_count)} control`;
}

function Summary({ rollout, gates }: { rollout: Rollout; gates: readonly GateResult[] }) {
  const [search, setSearch] = useSearchState();
  const asked = Number(search["wave"]);
  const lastJudged = gates.reduce((latest, gate) => Math.max(latest, gate.wave), 0);
  const wave = rollout.waves.some((entry) => entry.number === asked) ? asked : Math.max(rollout.released_wave, lastJudged, 1);
  const waveGates = gates.filter((gate) => gate.wave === wave);
  const gate = waveGates.find((entry) => entry.gate === search["gate"]) ?? mostTelling(waveGates);
  return (
    <>
      <VerdictLine rollout={rollout} waveGates={gates.filter((entry) => entry.wave === rollout.released_wave)} />
      <div className={`cols ${styles.columns ?? ""}`}>
        <div className={styles.side}>
        <Section title="Waves" meta={wavesMeta(rollout)} className={styles.waves}>
          {rollout.waves.length === 0 ? <Empty title="Not planned yet.">Waves appear when the plan is made.</Empty> : <WavesTable rollout={rollout} gates={gates} selected={wave} onSelect={(number) => setSearch({ wave: String(number), gate: undefined })} />}
        </Section>
        <Section title={`Gates of wave ${wave}`} meta={gatesMeta(waveGates, rollout)} className={styles.gatesPart}>
          {waveGates.length === 0 ? (
            <Empty title="No gate has been judged yet.">{rollout.policy.gates?.length === 0 ? "This rollout's policy has no gates." : "The first verdicts come with the first windows of devices that have switched."}</Empty>
          ) : (
            <GateList gates={waveGates} selected={gate?.gate} onSelect={(name) => setSearch({ gate: name, wave: String(wave) })} />
          )}
        </Section>
        {gate !== undefined && (
          <Section title={sentence(words(gate.gate))} meta={`wave ${wave} since release · control: ${CONTROL_WORDS[gate.control] ?? words(gate.control)}`} className={styles.plots}>
            <GatePlots gate={gate} rollout={rollout} />
          </Section>
        )}
        </div>
        <div className={styles.side}>
        <Section title="Devices by state" end={<AppLink className="link" to={`${paths.rollout(rollout.id)}?tab=devices`}>{plural(rolloutSums(rollout).total, "device")}</AppLink>} className={styles.byState}>
          <DevicesByState rollout={rollout} pathOf={(state) => `${paths.rollout(rollout.id)}?tab=devices&state=${state}`} />
        </Section>
        <div className={`stack ${styles.evidence ?? ""}`}>
          {gate !== undefined && <Where gate={gate} />}
          <Section title="Evidence" meta="how what is proven is known">
            <DataTable
              label="Evidence"
              rows={(["attested", "observed", "claimed"] as const).map((level) => ({ level, count: rollout.evidence[level] }))}
              rowKey={(row) => row.level}
              columns={[
                { key: "level", head: "Level", cell: (row) => sentence(row.level) },
                { key: "text", head: "Means", cell: (row) => <span className="t3 s12">{row.level === "attested" ? "signed report, clean soak" : row.level === "observed" ? "a later poll names it" : "its word only: not counted"}</span> },
                { key: "count", head: "Devices", cell: (row) => formatCount(row.count), isNumber: true },
              ]}
            />
          </Section>
        </div>
        <Events rollout={rollout} />
        </div>
      </div>
    </>
  );
}

export function RolloutPage() {
  const { id = "" } = useParams({ strict: false });
  useLiveTopics(`rollout:${id}`);
  const query = useQuery(rolloutQuery(id));
  const gates = useQuery(rolloutGatesQuery(id));
  const [search, setSearch] = useSearchState();
  const rollout = query.data;
  const tab = search["tab"] === "devices" || search["tab"] === "policy" ? search["tab"] : "summary";
  return (
    <>
      <PageHead
        title={rollout === undefined ? "Rollout" : `${rollout.model} ${versionStep(rollout)}`}
        crumbs={[{ text: "Rollouts", to: paths.rollouts() }, ...(rollout === undefined ? [] : [{ text: rollout.name }])]}
        status={
          rollout !== undefined && (
            <>
              <RolloutStatus rollout={rollout} isPill />
              <Siblings listKey={keys.rollouts.lists} id={id} path={paths.rollout} />
            </>
          )
        }
        context={
          rollout !== undefined && (
            <>
              {STRATEGY_WORDS[rollout.strategy]} · <code className="mono">{selectorText(rollout.selector)}</code>
              {rollout.created_by !== null && ` · planned by ${rollout.created_by.name}`} ·{" "}
              <AppLink className="link" to={paths.version(rollout.version_id)}>
                version
              </AppLink>
            </>
          )
        }
        actions={rollout !== undefined && <RolloutActions rollout={rollout} />}
      />
      <Tabs
        label="Parts of this rollout"
        current={tab}
        tabs={[
          { key: "summary", title: "Summary", to: paths.rollout(id) },
          { key: "devices", title: "Devices", to: `${paths.rollout(id)}?tab=devices`, count: rollout === undefined ? undefined : rolloutSums(rollout).total },
          { key: "policy", title: "Policy", to: `${paths.rollout(id)}?tab=policy` },
        ]}
      />
      <Loaded query={query} what="This rollout" rows={12}>
        {(data) => (tab === "devices" ? <DeploymentsTable rolloutId={id} state={search["state"]} onState={(state) => setSearch({ state })} /> : tab === "policy" ? <PolicyFacts policy={data.policy} /> : <Loaded query={gates} what="The gates">{(results) => <Summary rollout={data} gates={results} />}</Loaded>)}
      </Loaded>
    </>
  );
}
