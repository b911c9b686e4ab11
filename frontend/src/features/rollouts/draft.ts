/** The planner's draft: what is typed, what it becomes, and what is wrong with it. Pure. */
import type { Policy, PolicyGate, RolloutDraft, Strategy } from "@/lib/api/types";

export interface Draft {
  name: string;
  version: string | null;
  regions: string[];
  sites: string[];
  hardwareProfiles: string[];
  models: string[];
  labels: string;
  strategy: Strategy;
  canaryPercent: number;
  waves: string;
  holdoutPercent: number;
  soakS: number;
  patienceS: number;
  provenPercent: number;
  evidence: "observed" | "attested";
  shadowEvery: number;
  isRollback: boolean;
  gates: PolicyGate[];
}

export function draftFrom(policy: Policy, version: string | null): Draft {
  return {
    name: "",
    version,
    regions: [],
    sites: [],
    hardwareProfiles: [],
    models: [],
    labels: "",
    strategy: "canary",
    canaryPercent: policy.canary_percent ?? 5,
    waves: (policy.waves ?? [100]).join(", "),
    holdoutPercent: policy.holdout_percent ?? 0,
    soakS: policy.soak_s ?? 1800,
    patienceS: policy.patience_s ?? 86_400,
    provenPercent: policy.proven_percent ?? 90,
    evidence: policy.evidence_required ?? "observed",
    shadowEvery: policy.shadow_every ?? 0,
    isRollback: policy.rollback_on_halt ?? true,
    gates: policy.gates ?? [],
  };
}

/** `25, 50, 100` as numbers; null when it is not a rising row that ends at 100. */
export function readWaves(text: string, above: number): number[] | null {
  const waves = text.split(/[,\s]+/).filter((part) => part !== "").map(Number);
  const isRising = waves.every((wave, index) => Number.isFinite(wave) && wave <= 100 && wave > (waves[index - 1] ?? above));
  return waves.length > 0 && isRising && waves.at(-1) === 100 ? waves : null;
}

/** Labels typed as `aisle=12, lens=wide`; null when they cannot be read. */
export function readLabelText(text: string): Record<string, string> | null {
  const parts = text.split(",").map((part) => part.trim()).filter((part) => part !== "");
  const pairs = parts.map((part) => part.split("=").map((piece) => piece.trim()));
  return pairs.every((pair) => pair.length === 2 && pair.every((piece) => piece !== "")) ? (Object.fromEntries(pairs) as Record<string, string>) : null;
}

export type Problems = Partial<Record<"name" | "version" | "waves" | "labels" | "canaryPercent" | "gates", string>>;

export function problemsOf(draft: Draft): Problems {
  const problems: Problems = {};
  if (draft.name.trim() === "") problems.name = "Enter a name people will recognise.";
  if (draft.version === null) problems.version = "Choose the version to roll out.";
  if (draft.strategy === "canary") {
    if (!(draft.canaryPercent > 0 && draft.canaryPercent <= 50)) problems.canaryPercent = "Enter more than 0 and at most 50.";
    if (readWaves(draft.waves, draft.canaryPercent) === null) problems.waves = "Enter rising percentages above the canary that end at 100, such as 25, 50, 100.";
  }
  if (readLabelText(draft.labels) === null) problems.labels = "Enter labels as key=value, parted by commas.";
  const unbound = draft.gates.find((gate) => (gate.harm_bound ?? 0) <= 0 && (gate.ceiling ?? 0) <= 0);
  if (unbound !== undefined) problems.gates = `Give ${unbound.name} a bound above 0: at 0 every wave halts.`;
  const names = draft.gates.map((gate) => gate.name);
  if (new Set(names).size !== names.length) problems.gates = "Two gates have the same name.";
  return problems;
}

/** What is sent; null while version, waves or labels cannot be read, because nothing can be previewed then. */
export function toRequest(draft: Draft): RolloutDraft | null {
  const labels = readLabelText(draft.labels);
  const waves = draft.strategy === "canary" ? readWaves(draft.waves, draft.canaryPercent) : [100];
  if (draft.version === null || labels === null || waves === null) return null;
  return {
    name: draft.name.trim() || "draft",
    version: draft.version,
    strategy: draft.strategy,
    selector: { regions: draft.regions, sites: draft.sites, hardware_profiles: draft.hardwareProfiles, models: draft.models, labels },
    policy: {
      ...(draft.strategy === "canary" ? { canary_percent: draft.canaryPercent, waves } : {}),
      holdout_percent: draft.holdoutPercent,
      soak_s: draft.soakS,
      patience_s: draft.patienceS,
      proven_percent: draft.provenPercent,
      evidence_required: draft.evidence,
      shadow_every: draft.shadowEvery,
      rollback_on_halt: draft.isRollback,
      gates: draft.gates,
    },
  };
}
