import { NumberInput, Select, TextInput } from "@mantine/core";

import { Button } from "@/components/ui/button";
import { Icon } from "@/components/ui/icon";
import styles from "@/features/rollouts/rollouts.module.css";
import type { Metric, PolicyGate } from "@/lib/api/types";
import { sentence } from "@/lib/format/text";

interface GateFieldsProps {
  gates: PolicyGate[];
  metrics: readonly Metric[];
  onChange: (gates: PolicyGate[]) => void;
}

/** Judged by a level alone: there is nothing to compare it with (rollouts/policy/types.py). */
const CEILING_ONLY = new Set(["disagreement", "failed_deployments"]);

const isPercent = (unit: string | undefined) => unit === "ratio" || unit === "relative";

/** Bounds are typed in the unit people read: percent for ratios. */
function BoundInput({ label, name, value, unit, onChange }: { label: string | undefined; name: string; value: number | null | undefined; unit: string | undefined; onChange: (value: number | null) => void }) {
  const scale = isPercent(unit) ? 100 : 1;
  return (
    <NumberInput
      label={label}
      aria-label={name}
      value={value == null ? "" : Number((value * scale).toPrecision(6))}
      min={0}
      decimalScale={3}
      suffix={isPercent(unit) ? " %" : unit === undefined ? "" : ` ${unit}`}
      placeholder="none"
      hideControls
      onChange={(typed) => onChange(typed === "" ? null : Number(typed) / scale)}
    />
  );
}

export function GateFields({ gates, metrics, onChange }: GateFieldsProps) {
  const change = (index: number, part: Partial<PolicyGate>) => onChange(gates.map((gate, at) => (at === index ? { ...gate, ...part } : gate)));
  const unused = metrics.find((metric) => !gates.some((gate) => gate.metric === metric.metric));
  return (
    <div>
      {gates.map((gate, index) => {
        const metric = metrics.find((entry) => entry.metric === gate.metric);
        return (
          <div key={index} className={styles.gateFields}>
            <Select
              label={index === 0 ? "What must not get worse" : undefined}
              aria-label={`Metric of gate ${index + 1}`}
              data={metrics.map((entry) => ({ value: entry.metric, label: sentence(entry.title) }))}
              value={gate.metric}
              allowDeselect={false}
              onChange={(value) => value !== null && change(index, { metric: value, name: metrics.find((entry) => entry.metric === value)?.title.slice(0, 48) ?? value, harm_bound: null, ceiling: null })}
            />
            {CEILING_ONLY.has(gate.metric) ? <TextInput label={index === 0 ? "Harm bound" : undefined} aria-label={`Harm bound of gate ${index + 1}`} value="" placeholder="not compared" disabled /> : <BoundInput label={index === 0 ? "Harm bound, more than control" : undefined} name={`Harm bound of gate ${index + 1}`} value={gate.harm_bound} unit={metric?.unit} onChange={(value) => change(index, { harm_bound: value })} />}
            <BoundInput label={index === 0 ? "Ceiling, whatever control does" : undefined} name={`Ceiling of gate ${index + 1}`} value={gate.ceiling} unit={metric?.level_unit} onChange={(value) => change(index, { ceiling: value })} />
            <Button look="icon" aria-label={`Remove gate ${gate.name}`} onClick={() => onChange(gates.filter((_, at) => at !== index))}>
              <Icon name="close" size={14} />
            </Button>
          </div>
        );
      })}
      <div className="row" style={{ paddingTop: 8 }}>
        <Button icon="plus" denial={unused === undefined ? "Every metric has a gate already." : null} onClick={() => unused !== undefined && onChange([...gates, { name: unused.title.slice(0, 48), metric: unused.metric, harm_bound: null, ceiling: null }])}>
          Add gate
        </Button>
        {gates.length === 0 && <span className="warn s12">Without a gate nothing stops a bad version but a person.</span>}
      </div>
    </div>
  );
}
