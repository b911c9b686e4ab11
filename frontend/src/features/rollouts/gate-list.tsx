import type { KeyboardEvent } from "react";

import { gateAxis, Interval, IntervalHead } from "@/components/ui/interval";
import { Status } from "@/components/ui/status";
import styles from "@/features/rollouts/rollouts.module.css";
import { gateUnit, isDifference } from "@/features/rollouts/gate-values";
import type { GateResult } from "@/lib/api/types";
import { formatCount, formatGateInterval, formatGateValue } from "@/lib/format/number";
import { sentence, words } from "@/lib/format/text";

interface GateListProps {
  gates: readonly GateResult[];
  selected: string | undefined;
  onSelect: (gate: string) => void;
}

/** What is there and what is needed: `211 of 400 samples`. */
function progress(gate: GateResult): string {
  const { needed, present, needed_unit: unit } = gate.data;
  if (needed === undefined || present === undefined) return "";
  return `${formatCount(present)} of ${formatCount(needed)} ${unit ?? "samples"}`;
}

function VerdictCell({ gate }: { gate: GateResult }) {
  const { needed, present, needed_unit: unit } = gate.data;
  if (gate.verdict === "missing_devices" && needed !== undefined && present !== undefined) {
    return <Status thing="gate" state="missing_devices" word={`${formatCount(Math.max(0, needed - present))} ${unit ?? "devices"} missing`} />;
  }
  return <Status thing="gate" state={gate.verdict} />;
}

function move(event: KeyboardEvent<HTMLDivElement>): void {
  const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
  if (step === 0) return;
  const rows = [...event.currentTarget.querySelectorAll<HTMLElement>("[role=row][tabindex]")];
  rows[rows.indexOf(document.activeElement as HTMLElement) + step]?.focus();
  event.preventDefault();
}

/** Every gate on one axis, each scaled to its own harm bound, harm to the right; true units in the columns beside. */
export function GateList({ gates, selected, onSelect }: GateListProps) {
  const axis = gateAxis(gates);
  return (
    <div className={styles.gates} role="grid" tabIndex={-1} aria-label="Gates" onKeyDown={move}>
      <div className={styles.gateHead} role="row">
        <span role="columnheader">Gate</span>
        <span role="columnheader" aria-label="Interval against the harm bound">
          <IntervalHead axis={axis} />
        </span>
        <span role="columnheader" className={styles.right}>
          Difference
        </span>
        <span role="columnheader" className={styles.right}>
          95 % interval
        </span>
        <span role="columnheader">Verdict</span>
      </div>
      {gates.map((gate) => {
        const unit = gateUnit(gate);
        const difference = isDifference(gate);
        const bound = formatGateValue(gate.harm_bound, unit, difference);
        return (
          <div
            key={gate.gate}
            className={styles.gate}
            role="row"
            tabIndex={0}
            aria-selected={gate.gate === selected}
            title={`${gate.text}${gate.harm_bound === null ? "" : ` Harm bound ${bound}.`}`}
            onClick={() => onSelect(gate.gate)}
            onKeyDown={(event) => {
              if (event.key === "Enter" || event.key === " ") {
                event.preventDefault();
                onSelect(gate.gate);
              }
            }}
          >
            <span role="gridcell">
              <span className="clip">{sentence(words(gate.gate))}</span>
            </span>
            <span role="gridcell" style={{ padding: 0 }}>
              <Interval gate={gate} axis={axis} />
            </span>
            <span role="gridcell" className={`s12 b5 ${styles.right ?? ""}`}>
              {gate.estimate === null ? "" : formatGateValue(gate.estimate, unit, difference)}
            </span>
            <span role="gridcell" className={`s12 t2 ${styles.right ?? ""}`}>
              {formatGateInterval(gate.low, gate.high, unit, difference) || progress(gate)}
            </span>
            <span role="gridcell" className="s12">
              <VerdictCell gate={gate} />
            </span>
          </div>
        );
      })}
    </div>
  );
}
