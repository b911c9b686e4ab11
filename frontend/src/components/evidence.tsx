import { shortDigest, words } from "@/lib/format/text";
import type { Deployment } from "@/lib/api/types";

const EVIDENCE: Record<string, string> = {
  attested: "attested: signed report, clean soak",
  observed: "observed: a later poll names it",
  claimed: "claimed: its word only",
};

/** Why a deployment is where it is, in words: its evidence, or its reason code. */
export function evidenceText(deployment: Pick<Deployment, "state" | "evidence" | "reason_code" | "wave">): string {
  if (deployment.reason_code !== "") return words(deployment.reason_code);
  if (deployment.state === "proven" || deployment.state === "probation") return EVIDENCE[deployment.evidence] ?? "claimed: its word only";
  if (deployment.state === "planned") return `wave ${deployment.wave}, not released`;
  return "";
}

export function Digest({ digest }: { digest: string }) {
  return (
    <code className="mono" title={digest}>
      {shortDigest(digest)}
    </code>
  );
}
