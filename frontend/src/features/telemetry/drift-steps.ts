import type { Drift, DriftCell, DriftVerdict } from "@/lib/api/types";

/** Limits of the score (ml-methods 1): below 0.02 is noise, 0.10 warns, 0.25 alerts. */
export const WARN_AT = 0.1;
export const ALERT_AT = 0.25;

/** Step of the heat scale. The verdict decides colour; the score only shades what is quiet. */
export function heatStep(cell: Pick<DriftCell, "verdict" | "psi_excess">): "1" | "2" | "3" | "4" | "5" | "none" {
  if (cell.verdict === "not_enough_data" || cell.psi_excess === null) return "none";
  if (cell.verdict === "alert") return "5";
  if (cell.verdict === "warn") return "4";
  return cell.psi_excess < 0.02 ? "1" : cell.psi_excess < 0.05 ? "2" : "3";
}

const RANK: Record<DriftVerdict, number> = { alert: 0, warn: 1, quiet: 2, not_enough_data: 3 };

/** The cell to look at first. */
export function worstCell(drift: Pick<Drift, "cells">): DriftCell | undefined {
  return drift.cells.toSorted((a, b) => RANK[a.verdict] - RANK[b.verdict] || (b.psi_excess ?? 0) - (a.psi_excess ?? 0))[0];
}

/** `1 cell alerts, 3 warn, 123 quiet, 22 lack data`. */
export function driftSentence(drift: Pick<Drift, "cells">): string {
  const count = (verdict: DriftVerdict) => drift.cells.filter((cell) => cell.verdict === verdict).length;
  return `${count("alert")} ${count("alert") === 1 ? "cell alerts" : "cells alert"}, ${count("warn")} warn, ${count("quiet")} quiet, ${count("not_enough_data")} lack data`;
}

export function segmentName(cell: Pick<DriftCell, "region" | "hardware_profile">): string {
  return [cell.region ?? "all regions", ...(cell.hardware_profile === null ? [] : [`on ${cell.hardware_profile}`])].join(" ");
}
