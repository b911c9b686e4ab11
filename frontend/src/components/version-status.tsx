import { Status } from "@/components/ui/status";
import type { Approval, VersionState } from "@/lib/api/types";

/** Both marks of a version: what validation found, and whether people agreed. */
export function VersionStatus({ state, approval, by, isPill = false }: { state: VersionState; approval: Approval; by?: string | null | undefined; isPill?: boolean }) {
  return (
    <span className="row" style={{ gap: 10 }}>
      <Status thing="version" state={state} isPill={isPill} />
      {approval !== "none" && <Status thing="approval" state={approval} isPill={isPill} {...(by == null ? {} : { detail: `by ${by}` })} />}
    </span>
  );
}
