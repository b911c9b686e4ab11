import { DataTable } from "@/components/ui/data-table";
import { Section } from "@/components/ui/section";
import type { Policy, PolicyGate } from "@/lib/api/types";
import { formatCount, formatFixed, NO_DATA, THIN_SPACE } from "@/lib/format/number";
import { words } from "@/lib/format/text";
import { formatDuration } from "@/lib/format/time";

const seconds = (value: number | undefined) => (value === undefined ? NO_DATA : formatDuration(value * 1000));
const percent = (value: number | undefined) => (value === undefined ? NO_DATA : `${formatFixed(value, Number.isInteger(value) ? 0 : 1)}${THIN_SPACE}%`);

/** How careful a rollout is, in words. */
export function policyLines(policy: Policy): { name: string; value: string; why: string }[] {
  return [
    { name: "Canary", value: percent(policy.canary_percent), why: "of the devices in the first wave" },
    { name: "Waves after it", value: (policy.waves ?? []).map((wave) => percent(wave)).join(", "), why: "of the devices reached, in all" },
    { name: "Hold-out", value: percent(policy.holdout_percent), why: "released last, the control until then" },
    { name: "Soak", value: seconds(policy.soak_s), why: "a device runs it before it can be proven" },
    { name: "Evidence", value: policy.evidence_required ?? NO_DATA, why: "the lowest that counts as proven; a claim never does" },
    { name: "Proven share", value: percent(policy.proven_percent), why: "of a wave's reachable devices before the next wave" },
    { name: "Failures", value: percent(policy.max_failed_percent), why: "of a wave; above it the wave is stopped" },
    { name: "Shadow", value: policy.shadow_every === undefined || policy.shadow_every === 0 ? "never" : `every ${formatCount(policy.shadow_every)}th input`, why: "also runs through the previous version in probation" },
    { name: "Patience", value: seconds(policy.patience_s), why: "a wave may hold before a person is asked" },
    { name: "When a gate halts", value: policy.rollback_on_halt === false ? "wait for a person" : "roll back by itself", why: "" },
  ];
}

function bound(gate: PolicyGate): string {
  const parts = [gate.harm_bound == null ? "" : `harm bound ${formatFixed(gate.harm_bound, 3)}`, gate.ceiling == null ? "" : `ceiling ${formatFixed(gate.ceiling, 3)}`];
  return parts.filter((part) => part !== "").join(", ");
}

export function PolicyFacts({ policy }: { policy: Policy }) {
  return (
    <div className="stack" style={{ maxWidth: 860 }}>
      <Section isBare title="Policy" meta="as it was when the rollout was made">
        <DataTable
          label="Policy"
          rows={policyLines(policy)}
          rowKey={(row) => row.name}
          columns={[
            { key: "name", head: "Rule", cell: (row) => row.name },
            { key: "value", head: "Value", cell: (row) => <b className="b5">{row.value}</b> },
            { key: "why", head: "Means", cell: (row) => <span className="t3">{row.why}</span> },
          ]}
        />
      </Section>
      <Section title="Gates" meta="what must not get worse">
        <DataTable
          label="Gates of the policy"
          rows={policy.gates ?? []}
          rowKey={(gate) => gate.name}
          columns={[
            { key: "name", head: "Gate", cell: (gate) => gate.name },
            { key: "metric", head: "Metric", cell: (gate) => <span className="t2">{words(gate.metric)}</span> },
            { key: "bound", head: "Stops at", cell: bound },
            { key: "least", head: "Least", cell: (gate) => <span className="t2">{`${formatCount(gate.minimum_devices)} devices, ${formatCount(gate.minimum_samples)} samples`}</span>, isNumber: true },
          ]}
        />
      </Section>
    </div>
  );
}
