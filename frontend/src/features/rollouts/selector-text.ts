import type { Selector } from "@/lib/api/types";

/** A rollout's selector as one line: `region in (eu-north, eu-west) and model digits@1.0.0`. */
export function selectorText(selector: Selector): string {
  const list = (name: string, values: readonly string[] | undefined) => (values === undefined || values.length === 0 ? [] : [values.length === 1 ? `${name} = ${values[0] ?? ""}` : `${name} in (${values.join(", ")})`]);
  const parts = [
    ...list("region", selector.regions),
    ...list("site", selector.sites),
    ...list("hardware_profile", selector.hardware_profiles),
    ...list("model", selector.models),
    ...Object.entries(selector.labels ?? {}).map(([key, value]) => `label ${key} = ${value}`),
  ];
  return parts.length === 0 ? "all accepted devices" : parts.join(" and ");
}

export const STRATEGY_WORDS = { canary: "Canary, then growing waves", all_at_once: "All at once" } as const;
