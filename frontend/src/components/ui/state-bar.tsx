import type { CSSProperties } from "react";

import styles from "@/components/ui/state-bar.module.css";
import { DEPLOYMENT_ORDER, statusOf } from "@/components/ui/status-table";
import type { Counts, DeploymentState, Wave } from "@/lib/api/types";
import { plural } from "@/lib/format/number";

/** `723 devices: 418 proven, 131 probation · claimed, ...` */
export function countsSentence(counts: Counts): string {
  const parts = DEPLOYMENT_ORDER.filter((state) => (counts[state] ?? 0) > 0);
  const total = parts.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
  return `${plural(total, "device")}: ${parts.map((state) => `${counts[state] ?? 0} ${statusOf("deployment", state).word.toLowerCase()}`).join(", ")}`;
}

const share = (count: number): CSSProperties => ({ "--share": String(count) }) as CSSProperties;

interface StateBarProps {
  counts: Counts;
  height?: number;
}

/** Devices by state as one bar; the more is known, the fuller its mark. */
export function StateBar({ counts, height = 10 }: StateBarProps) {
  return (
    <div className={styles.bar} style={{ "--bar-height": `${height}px` } as CSSProperties} role="img" aria-label={countsSentence(counts)}>
      {DEPLOYMENT_ORDER.map((state) => {
        const count = counts[state] ?? 0;
        return count > 0 && <i key={state} className={`${styles.part ?? ""} ${styles[state] ?? ""}`} style={share(count)} title={`${statusOf("deployment", state).word}: ${count}`} />;
      })}
    </div>
  );
}

/** A rollout's waves in one line, each as wide as its share of the devices. */
export function WaveBar({ waves }: { waves: readonly Wave[] }) {
  return (
    <div className={styles.waves}>
      {waves.map((wave) => (
        <div key={wave.number} className={styles.wave} style={share(Math.max(wave.device_count, 1))}>
          <StateBar counts={Object.keys(wave.counts).length > 0 ? wave.counts : { planned: wave.device_count }} height={8} />
        </div>
      ))}
    </div>
  );
}

/** The mark of a state as used in bars, for keys and small bars of one state. */
export function Swatch({ state }: { state: DeploymentState }) {
  return <i className={`${styles.swatch ?? ""} ${styles[state] ?? ""}`} aria-hidden />;
}

interface StateShareProps {
  state: DeploymentState;
  /** 0 to 1 of the longest bar beside it. */
  ratio: number;
}

export function StateShare({ state, ratio }: StateShareProps) {
  return <i className={styles[state]} aria-hidden style={{ display: "block", height: 8, borderRadius: 1, minWidth: 2, width: `${(ratio * 100).toFixed(2)}%` }} />;
}
