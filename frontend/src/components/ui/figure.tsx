import type { CSSProperties, ReactNode } from "react";

import { AppLink } from "@/components/ui/app-link";
import styles from "@/components/ui/figure.module.css";
import { Qty } from "@/components/ui/qty";
import { Spark } from "@/components/ui/spark";
import { NO_DATA } from "@/lib/format/number";

interface FigureProps {
  label: string;
  /** The number as text; null when it is not known. */
  value: string | null;
  unit?: string;
  /** Its denominator or limit. */
  sub: ReactNode;
  to: string;
  series?: readonly (number | null)[];
  /** What the sparkline's full height means; default: the highest value. */
  limit?: number;
}

/** One figure of the strip: a number with unit, denominator, course and link. */
export function Figure({ label, value, unit, sub, to, series, limit }: FigureProps) {
  return (
    <AppLink to={to} className={styles.figure}>
      <span className={styles.label}>{label}</span>
      <span className={styles.value}>
        {value === null ? <span className={styles.none}>{NO_DATA}</span> : <Qty value={value} {...(unit === undefined ? {} : { unit })} />}
        {series !== undefined && <Spark values={series} {...(limit === undefined ? {} : { limit })} />}
      </span>
      <span className={styles.sub}>{sub}</span>
    </AppLink>
  );
}

const columns = (count: number) => ({ "--figures": String(count) }) as CSSProperties;

export function FigureStrip({ count, children }: { count: number; children: ReactNode }) {
  return (
    <div className={styles.strip} style={columns(count)}>
      {children}
    </div>
  );
}

/** Figures in a row inside a section, smaller and without course. */
export function FigureRow({ figures }: { figures: readonly { label: string; value: ReactNode; tone?: "crit" | "warn" | undefined }[] }) {
  return (
    <dl className={styles.small} style={columns(figures.length)}>
      {figures.map((figure) => (
        <div key={figure.label}>
          <dt>{figure.label}</dt>
          <dd className={figure.tone}>{figure.value}</dd>
        </div>
      ))}
    </dl>
  );
}
