import { type CSSProperties, Fragment, type KeyboardEvent } from "react";

import { Icon } from "@/components/ui/icon";
import { statusOf } from "@/components/ui/status-table";
import styles from "@/features/telemetry/drift.module.css";
import { heatStep, segmentName } from "@/features/telemetry/drift-steps";
import type { Drift, DriftCell } from "@/lib/api/types";
import { formatCount, formatFixed } from "@/lib/format/number";
import { words } from "@/lib/format/text";

interface HeatMapProps {
  drift: Drift;
  selected: DriftCell | undefined;
  onSelect: (cell: DriftCell) => void;
}

const isSame = (a: DriftCell | undefined, b: DriftCell) => a !== undefined && a.region === b.region && a.hardware_profile === b.hardware_profile && a.feature === b.feature;

/** Arrow keys move among the cells as they lie. */
function move(event: KeyboardEvent<HTMLDivElement>, columns: number): void {
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  if (step === undefined) return;
  const cells = [...event.currentTarget.querySelectorAll<HTMLElement>("[data-place]")];
  const at = cells.indexOf(document.activeElement as HTMLElement);
  if (at < 0) return;
  event.preventDefault();
  cells[at + step]?.focus();
}

function Cell({ cell, isOn, onSelect }: { cell: DriftCell; isOn: boolean; onSelect: (cell: DriftCell) => void }) {
  const step = heatStep(cell);
  const score = step === "none" ? `n ${formatCount(cell.row_count)}` : formatFixed(Math.max(0, cell.psi_excess ?? 0), 2);
  return (
    <button
      type="button"
      role="gridcell"
      className={styles.cell}
      data-place
      data-step={step}
      data-on={isOn}
      aria-selected={isOn}
      tabIndex={isOn ? 0 : -1}
      aria-label={`${words(cell.feature)} in ${segmentName(cell)}: ${statusOf("drift", cell.verdict).word}, ${step === "none" ? `${cell.row_count} rows` : `PSI excess ${score}`}`}
      onClick={() => onSelect(cell)}
    >
      {step === "4" && <Icon name="triangle" size={9} />}
      {step === "5" && <Icon name="diamond" size={9} />}
      {score}
    </button>
  );
}

/** Segments by features, inputs and outputs apart. Cells that lack data are hatched and say how much they have. */
export function HeatMap({ drift, selected, onSelect }: HeatMapProps) {
  const features = drift.features.toSorted((a, b) => (a.kind === b.kind ? 0 : a.kind === "input" ? -1 : 1));
  const inputs = features.filter((feature) => feature.kind === "input").length;
  const outputs = features.length - inputs;
  const byPlace = new Map(drift.cells.map((cell) => [`${cell.region ?? ""}|${cell.hardware_profile ?? ""}|${cell.feature}`, cell]));
  return (
    <div className={styles.scroll}>
      <div className={styles.heat} role="grid" tabIndex={-1} aria-label="Drift by segment and feature" style={{ "--features": String(features.length) } as CSSProperties} onKeyDown={(event) => move(event, features.length)}>
        <div className={styles.heatRow} role="row">
          <span style={{ gridColumn: "span 3" }} role="presentation" />
          {inputs > 0 && (
            <span className={styles.group} role="columnheader" style={{ gridColumn: `span ${inputs}` }}>
              Inputs
            </span>
          )}
          {outputs > 0 && (
            <span className={styles.group} role="columnheader" style={{ gridColumn: `span ${outputs}` }}>
              Outputs
            </span>
          )}
        </div>
        <div className={styles.heatRow} role="row">
          <span className="t3 s12" style={{ gridColumn: "span 2", alignItems: "flex-end" }} role="columnheader">
            Segment
          </span>
          <span className={styles.devices} role="columnheader" style={{ alignItems: "flex-end" }}>
            devices
          </span>
          {features.map((feature) => (
            <span key={feature.name} className={styles.head} role="columnheader" data-on={selected?.feature === feature.name}>
              {words(feature.name)}
            </span>
          ))}
        </div>
        {drift.segments.map((segment, index) => {
          const isFirst = drift.segments[index - 1]?.region !== segment.region;
          const isOn = selected !== undefined && selected.region === segment.region && selected.hardware_profile === segment.hardware_profile;
          return (
            <Fragment key={`${segment.region ?? ""}|${segment.hardware_profile ?? ""}`}>
              {isFirst && index > 0 && <span className={styles.space} role="presentation" />}
              <div className={styles.heatRow} role="row">
                <span className={styles.region} role={isFirst ? "rowheader" : "presentation"}>
                  {isFirst && (segment.region ?? "all")}
                </span>
                <span className={styles.segment} role="rowheader" data-on={isOn}>
                  {segment.hardware_profile ?? "all hardware"}
                </span>
                <span className={styles.devices} role="gridcell">
                  {formatCount(segment.device_count)}
                </span>
                {features.map((feature) => {
                  const cell = byPlace.get(`${segment.region ?? ""}|${segment.hardware_profile ?? ""}|${feature.name}`);
                  return cell === undefined ? (
                    <span key={feature.name} className={styles.absent} role="gridcell" data-place aria-label={`${feature.name}: not reported`}>
                      –
                    </span>
                  ) : (
                    <Cell key={feature.name} cell={cell} isOn={isSame(selected, cell)} onSelect={onSelect} />
                  );
                })}
              </div>
            </Fragment>
          );
        })}
      </div>
      <div className={styles.legend} aria-hidden>
        PSI excess
        <span>
          <i style={{ background: "var(--fl-heat-1)" }} />
          &lt; 0.02
        </span>
        <span>
          <i style={{ background: "var(--fl-heat-2)" }} />
          0.02
        </span>
        <span>
          <i style={{ background: "var(--fl-heat-3)" }} />
          0.05
        </span>
        <span>
          <i style={{ background: "var(--fl-heat-4)" }} />
          <Icon name="triangle" size={9} />
          warn
        </span>
        <span>
          <i style={{ background: "var(--fl-heat-5)" }} />
          <Icon name="diamond" size={9} />
          alert
        </span>
        <span>
          <i className="hatch" />
          not enough data
        </span>
        <span>– not reported</span>
      </div>
    </div>
  );
}
