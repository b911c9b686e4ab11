/**
 * Every mark of the dashboard, drawn once. The fill of a mark says how much is known (dashed ring: planned; hatched: claimed;
 * solid with a check: proven), so the drawings are part of the vocabulary in status-table.ts.
 */
import type { JSX } from "react";

export type IconName =
  | "alerts"
  | "arrow"
  | "audit"
  | "cancelled"
  | "change"
  | "chev"
  | "claimed"
  | "clock"
  | "clock-warn"
  | "close"
  | "copy"
  | "decide"
  | "devices"
  | "diamond"
  | "done"
  | "downloading"
  | "drift"
  | "failed"
  | "halt"
  | "harm"
  | "here"
  | "hold"
  | "info"
  | "installing"
  | "jobs"
  | "logo"
  | "missing"
  | "models"
  | "moon"
  | "more"
  | "no-data"
  | "offered"
  | "offline"
  | "offline-quiet"
  | "online"
  | "overview"
  | "pass"
  | "pause"
  | "paused"
  | "person"
  | "planned"
  | "plus"
  | "proven"
  | "rejected"
  | "restoring"
  | "rolled-back"
  | "rollouts"
  | "run"
  | "search"
  | "settings"
  | "skipped"
  | "sun"
  | "todo"
  | "tour"
  | "triangle"
  | "undo"
  | "unknown"
  | "upload"
  | "verifying"
  | "warning";

interface Drawing {
  viewBox: string;
  body: JSX.Element;
}

const drawings: Record<IconName, Drawing> = {
  "alerts": { viewBox: "0 0 16 16", body: <><path fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" d="M8 2.5 14 13H2zM8 6.8v2.8M8 11.3v.1" /></> },
  "arrow": { viewBox: "0 0 16 16", body: <><path fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" d="M3 8h10M9.5 4.5 13 8l-3.5 3.5" /></> },
  "audit": { viewBox: "0 0 16 16", body: <><path fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" d="M4 2.5h8v11H4zM6 5.5h4M6 8h4M6 10.5h2.5" /></> },
  "cancelled": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="6" fill="none" stroke="var(--fl-text-3)" strokeWidth="1.4" /><path d="m4 12 8-8" stroke="var(--fl-text-3)" strokeWidth="1.4" /></> },
  "change": { viewBox: "0 0 16 16", body: <><path d="M8 2l5 6-5 6-5-6z" fill="var(--fl-canvas)" stroke="var(--fl-text-2)" strokeWidth="1.5" /></> },
  "chev": { viewBox: "0 0 16 16", body: <><path fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" d="m4.5 6.5 3.5 3.5 3.5-3.5" /></> },
  "claimed": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="6" fill="url(#fl-hatch-ok)" stroke="var(--fl-ok-fill)" strokeWidth="1.4" /></> },
  "clock": { viewBox: "0 0 16 16", body: <><g stroke="var(--fl-text-3)" fill="none" strokeWidth="1.4" strokeLinecap="round"><circle cx="8" cy="8" r="6" /><path d="M8 4.8V8l2.2 1.4" /></g></> },
  "clock-warn": { viewBox: "0 0 16 16", body: <><g stroke="var(--fl-warn)" fill="none" strokeWidth="1.4" strokeLinecap="round"><circle cx="8" cy="8" r="6" /><path d="M8 4.8V8l2.2 1.4" /></g></> },
  "close": { viewBox: "0 0 16 16", body: <><path fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" d="m4 4 8 8M12 4l-8 8" /></> },
  "copy": { viewBox: "0 0 16 16", body: <><path fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" d="M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3" /></> },
  "decide": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="6.7" fill="none" stroke="var(--fl-warn)" strokeWidth="1.4" /><path d="M6.3 6.3a1.7 1.7 0 1 1 2.4 1.7c-.5.25-.7.5-.7 1M8 11v.2" fill="none" stroke="var(--fl-warn)" strokeWidth="1.4" strokeLinecap="round" /></> },
  "devices": { viewBox: "0 0 16 16", body: <><path fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" d="M4.5 2.5h7v11h-7zM7 11.5h2M2 5v6M14 5v6" /></> },
  "diamond": { viewBox: "0 0 16 16", body: <><path d="M8 0 16 8 8 16 0 8z" fill="currentColor" /></> },
  "done": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="6.7" fill="var(--fl-ok-fill)" /><path d="m5 8.2 2.1 2.1L11.2 6" fill="none" stroke="var(--fl-canvas)" strokeWidth="1.7" strokeLinecap="round" strokeLinejoin="round" /></> },
  "downloading": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="6" fill="none" stroke="var(--fl-move-4)" strokeWidth="1.4" /><path d="M8 8V4.4A3.6 3.6 0 0 1 11.6 8.0Z" fill="var(--fl-move-4)" /></> },
  "drift": { viewBox: "0 0 16 16", body: <><path fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" d="M1.5 12.5c3 0 2.5-8 5-8s2 8 5 8M6 12.5c3 0 2.5-6 4.5-6s1.5 6 4 6" /></> },
  "failed": { viewBox: "0 0 16 16", body: <><path d="M8 .8 15.2 8 8 15.2.8 8z" fill="var(--fl-crit-fill)" /><path d="M8 4.6v4M8 10.9v.3" stroke="var(--fl-canvas)" strokeWidth="1.7" strokeLinecap="round" /></> },
  "halt": { viewBox: "0 0 16 16", body: <><path d="M5.2 1.3h5.6l3.9 3.9v5.6l-3.9 3.9H5.2l-3.9-3.9V5.2z" fill="var(--fl-crit-fill)" /><path d="M5.5 5.5h5v5h-5z" fill="var(--fl-canvas)" /></> },
  "harm": { viewBox: "0 0 16 16", body: <><path d="M8 .8 15.2 8 8 15.2.8 8z" fill="var(--fl-crit-fill)" /><path d="M8 4.6v4M8 10.9v.3" stroke="var(--fl-canvas)" strokeWidth="1.7" strokeLinecap="round" /></> },
  "here": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="6" fill="none" stroke="var(--fl-warn)" strokeWidth="1.5" /><circle cx="8" cy="8" r="3" fill="var(--fl-warn)" /></> },
  "hold": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="6.7" fill="none" stroke="var(--fl-warn)" strokeWidth="1.4" /><path d="M6.3 5.5v5M9.7 5.5v5" stroke="var(--fl-warn)" strokeWidth="1.6" strokeLinecap="round" /></> },
  "info": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="6" fill="none" stroke="var(--fl-text-2)" strokeWidth="1.4" /><path d="M8 7.5v3.3M8 5.2v.1" stroke="var(--fl-text-2)" strokeWidth="1.6" strokeLinecap="round" /></> },
  "installing": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="6" fill="none" stroke="var(--fl-move-4)" strokeWidth="1.4" /><path d="M8 8V4.4A3.6 3.6 0 1 1 4.4 8.0Z" fill="var(--fl-move-4)" /></> },
  "jobs": { viewBox: "0 0 16 16", body: <><path fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" d="M2.5 4h11M2.5 8h7M2.5 12h4M12 8.5v4.5l2.5-2" /></> },
  "logo": { viewBox: "0 0 18 17", body: <><path d="M2 14 7 3v11zM8.5 14 12 6.2V14zM13.4 14 16 8.6V14z" fill="currentColor" /></> },
  "missing": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="6" fill="none" stroke="var(--fl-warn)" strokeWidth="1.5" strokeDasharray="2.6 2.112" /><path d="M8 5v3.2l2 1.3" fill="none" stroke="var(--fl-warn)" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" /></> },
  "models": { viewBox: "0 0 16 16", body: <><path fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" d="m8 2 5.5 3v6L8 14l-5.5-3V5zM2.5 5 8 8l5.5-3M8 8v6" /></> },
  "moon": { viewBox: "0 0 16 16", body: <><path fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinejoin="round" d="M13 9.500A5.5 5.5 0 0 1 6.5 3a5.5 5.5 0 1 0 6.5 6.500z" /></> },
  "more": { viewBox: "0 0 16 16", body: <><circle cx="3.5" cy="8" r="1.2" fill="currentColor" /><circle cx="8" cy="8" r="1.2" fill="currentColor" /><circle cx="12.5" cy="8" r="1.2" fill="currentColor" /></> },
  "no-data": { viewBox: "0 0 16 16", body: <><rect x="2" y="2" width="12" height="12" rx="2" fill="url(#fl-hatch-none)" stroke="var(--fl-text-3)" strokeWidth="1.3" strokeDasharray="2 1.7" /></> },
  "offered": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="6" fill="none" stroke="var(--fl-move-4)" strokeWidth="1.4" /></> },
  "offline": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="4.5" fill="none" stroke="var(--fl-crit)" strokeWidth="1.5" /><path d="m3 13 10-10" stroke="var(--fl-crit)" strokeWidth="1.5" /></> },
  "offline-quiet": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="4.5" fill="none" stroke="var(--fl-text-3)" strokeWidth="1.5" /><path d="m3 13 10-10" stroke="var(--fl-text-3)" strokeWidth="1.5" /></> },
  "online": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="4" fill="var(--fl-ok-fill)" /></> },
  "overview": { viewBox: "0 0 16 16", body: <><path fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" d="M2.5 9.5 5 6.5l2.5 3L10.5 4l3 5.5M2.5 13h11" /></> },
  "pass": { viewBox: "0 0 16 16", body: <><path d="m3 8.5 3.3 3.3L13 5" fill="none" stroke="var(--fl-ok)" strokeWidth="1.9" strokeLinecap="round" strokeLinejoin="round" /></> },
  "pause": { viewBox: "0 0 16 16", body: <><path fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" d="M5.5 3.5v9M10.5 3.5v9" /></> },
  "paused": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="6.7" fill="none" stroke="var(--fl-text-2)" strokeWidth="1.4" /><path d="M6.3 5.5v5M9.7 5.5v5" stroke="var(--fl-text-2)" strokeWidth="1.6" strokeLinecap="round" /></> },
  "person": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="5.2" r="2.7" fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" /><path fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" d="M3 13.5c.4-3 2.3-4.3 5-4.3s4.6 1.3 5 4.3" /></> },
  "planned": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="6" fill="none" stroke="var(--fl-text-3)" strokeWidth="1.4" strokeDasharray="1.9 1.87" /></> },
  "plus": { viewBox: "0 0 16 16", body: <><path fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" d="M8 3.5v9M3.5 8h9" /></> },
  "proven": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="6.7" fill="var(--fl-ok-fill)" /><path d="m5 8.2 2.1 2.1L11.2 6" fill="none" stroke="var(--fl-canvas)" strokeWidth="1.7" strokeLinecap="round" strokeLinejoin="round" /></> },
  "rejected": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="6" fill="none" stroke="var(--fl-text-3)" strokeWidth="1.4" /><path d="m6 6 4 4M10 6l-4 4" stroke="var(--fl-text-3)" strokeWidth="1.5" strokeLinecap="round" /></> },
  "restoring": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="6" fill="none" stroke="var(--fl-ink)" strokeWidth="1.4" /><path d="M8 14a6 6 0 0 1 0-12z" fill="var(--fl-ink)" /></> },
  "rolled-back": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="6.7" fill="var(--fl-ink)" /><path d="M7 4.8 5 6.8l2 2M5.2 6.8h3.5a1.9 1.9 0 0 1 0 3.9H7" fill="none" stroke="var(--fl-canvas)" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" /></> },
  "rollouts": { viewBox: "0 0 16 16", body: <><path fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" d="M2.5 12.5h2v-3h-2zM7 12.5h2v-6H7zM11.5 12.5h2v-9h-2z" /></> },
  "run": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="6.7" fill="none" stroke="var(--fl-accent)" strokeWidth="1.4" /><path d="M6.5 5.2v5.6L11 8z" fill="var(--fl-accent)" /></> },
  "search": { viewBox: "0 0 16 16", body: <><circle cx="7" cy="7" r="4.2" fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" /><path fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" d="m10.2 10.2 3.3 3.3" /></> },
  "settings": { viewBox: "0 0 16 16", body: <><path fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" d="M2.5 5h6M11.5 5h2M2.5 11h2M7.5 11h6" /><circle cx="10" cy="5" r="1.5" fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" /><circle cx="6" cy="11" r="1.5" fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" /></> },
  "skipped": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="6" fill="none" stroke="var(--fl-text-3)" strokeWidth="1.4" /><path d="M5 8h6" stroke="var(--fl-text-3)" strokeWidth="1.5" strokeLinecap="round" /></> },
  "sun": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="2.8" fill="none" stroke="currentColor" strokeWidth="1.4" /><path stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" d="M8 1.800v1.200M8 13v1.200M1.8 8h1.200M13 8h1.200M3.6 3.600l.9.9M11.5 11.5l.9.9M3.6 12.4l.9-.9M11.5 4.500l.9-.9" /></> },
  "todo": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="6" fill="none" stroke="var(--fl-text-3)" strokeWidth="1.4" strokeDasharray="1.9 1.87" /></> },
  "tour": { viewBox: "0 0 16 16", body: <><path fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" d="M4 14V2.500h8l-2 3 2 3H4" /></> },
  "triangle": { viewBox: "0 0 16 16", body: <><path d="M8 1.5 15.2 14H.8z" fill="currentColor" /></> },
  "undo": { viewBox: "0 0 16 16", body: <><path fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" d="M6 3 3 6l3 3M3 6h6.5a3.5 3.5 0 0 1 0 7H7" /></> },
  "unknown": { viewBox: "0 0 16 16", body: <><rect x="2" y="2" width="12" height="12" rx="2" fill="none" stroke="var(--fl-crit)" strokeWidth="1.4" /><path d="M6.3 6.3a1.7 1.7 0 1 1 2.4 1.7c-.5.25-.7.5-.7 1M8 11v.2" fill="none" stroke="var(--fl-crit)" strokeWidth="1.4" strokeLinecap="round" /></> },
  "upload": { viewBox: "0 0 16 16", body: <><path fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" d="M8 10.5v-8M4.8 5.5 8 2.3l3.2 3.2M2.5 10v3.500h11V10" /></> },
  "verifying": { viewBox: "0 0 16 16", body: <><circle cx="8" cy="8" r="6" fill="none" stroke="var(--fl-move-4)" strokeWidth="1.4" /><path d="M8 8V4.4A3.6 3.6 0 0 1 8.0 11.6Z" fill="var(--fl-move-4)" /></> },
  "warning": { viewBox: "0 0 16 16", body: <><path d="M8 1.5 15.2 14H.8z" fill="var(--fl-warn-fill)" /><path d="M8 6v3.6M8 11.7v.2" stroke="var(--fl-canvas)" strokeWidth="1.6" strokeLinecap="round" /></> },
};

/** The drawings as symbols; rendered once, at the root of the application. */
export function IconSprite() {
  return (
    <svg width="0" height="0" aria-hidden="true" style={{ position: "absolute" }}>
      <defs>
        <pattern id="fl-hatch-ok" width="3" height="3" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <rect width="1.3" height="3" fill="var(--fl-ok-fill)" />
        </pattern>
        <pattern id="fl-hatch-none" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <rect width="1" height="4" fill="var(--fl-line-strong)" />
        </pattern>
      </defs>
      {Object.entries(drawings).map(([name, drawing]) => (
        <symbol key={name} id={`fl-i-${name}`} viewBox={drawing.viewBox}>
          {drawing.body}
        </symbol>
      ))}
    </svg>
  );
}

interface IconProps {
  name: IconName;
  /** Width and height in px. */
  size?: number;
  className?: string | undefined;
  /** Only for an icon that stands alone; beside its word an icon is hidden from readers. */
  label?: string;
}

export function Icon({ name, size = 16, className, label }: IconProps) {
  const naming = label === undefined ? { "aria-hidden": true } : { role: "img", "aria-label": label };
  return (
    <svg width={size} height={size} className={className} style={{ flex: "none" }} {...naming}>
      <use href={`#fl-i-${name}`} />
    </svg>
  );
}
