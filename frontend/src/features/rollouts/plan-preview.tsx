import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useDebouncedValue } from "@mantine/hooks";

import { DataTable } from "@/components/ui/data-table";
import { Empty } from "@/components/ui/empty";
import { Icon } from "@/components/ui/icon";
import { LoadError } from "@/components/ui/load-error";
import { Skeleton } from "@/components/ui/loading";
import { Qty } from "@/components/ui/qty";
import { Section } from "@/components/ui/section";
import styles from "@/features/rollouts/rollouts.module.css";
import { rolloutPreviewQuery } from "@/lib/api/queries/rollouts";
import type { RolloutDraft } from "@/lib/api/types";
import { formatBytes } from "@/lib/format/bytes";
import { formatCount, formatShare, plural } from "@/lib/format/number";

/** What starting would do, 250 ms after each change. A failed preview blocks nothing but Submit. */
export function PlanPreview({ draft }: { draft: RolloutDraft | null }) {
  const [settled] = useDebouncedValue(draft, 250);
  const query = useQuery({ ...rolloutPreviewQuery(settled), placeholderData: keepPreviousData });
  if (draft === null) return <Empty title="Choose a version to see the plan.">Waves, devices and what is left out appear here before anything is sent.</Empty>;
  if (query.error !== null) return <LoadError what="The preview" error={query.error} onRetry={() => void query.refetch()} />;
  if (query.data === undefined) return <Skeleton rows={5} />;
  const preview = query.data;
  const leftOut = preview.left_out.reduce((sum, reason) => sum + reason.count, 0);
  return (
    <div className={query.isPlaceholderData ? "stack stale" : "stack"} aria-live="polite" aria-busy={query.isFetching}>
      <Section title="Plan" meta={<Qty value={plural(preview.device_count, "device")} />} end={<span>{formatBytes(preview.size_bytes_total)} to send</span>}>
        {preview.device_count === 0 ? (
          <Empty title="No device is selected.">Widen the selection, or see below why devices are left out.</Empty>
        ) : (
          <DataTable
            label="Waves of the plan"
            rows={preview.waves}
            rowKey={(wave) => String(wave.number)}
            columns={[
              { key: "wave", head: "Wave", cell: (wave) => <>{wave.number} <span className="t3 s12">{wave.name}</span></> },
              { key: "devices", head: "Devices", cell: (wave) => <Qty value={formatCount(wave.device_count)} />, isNumber: true },
              { key: "share", head: "Share", cell: (wave) => <span className="t2">{formatShare(wave.device_count, preview.device_count)}</span>, isNumber: true },
              { key: "regions", head: "Regions", cell: (wave) => <span className="t3 s12" style={{ whiteSpace: "normal" }}>{Object.entries(wave.by_region).map(([region, count]) => `${region} ${count}`).join(", ") || "–"}</span> },
            ]}
          />
        )}
        {preview.warnings.map((warning) => (
          <p key={warning} className={`warn s12 ${styles.warning ?? ""}`}>
            <Icon name="warning" size={14} /> {warning}
          </p>
        ))}
      </Section>
      {preview.current_versions.length > 0 && (
        <Section title="Runs now" meta="what these devices run before">
          <DataTable
            label="Versions that run now"
            rows={preview.current_versions}
            rowKey={(entry) => entry.version ?? "none"}
            columns={[
              { key: "version", head: "Version", cell: (entry) => entry.version ?? <span className="t3">none: a first model has nowhere to go back to</span> },
              { key: "devices", head: "Devices", cell: (entry) => formatCount(entry.device_count), isNumber: true },
            ]}
          />
        </Section>
      )}
      <Section title="Left out" meta={leftOut === 0 ? "nothing that matches" : plural(leftOut, "device")}>
        {preview.left_out.length > 0 && (
          <DataTable
            label="Left out"
            rows={preview.left_out}
            rowKey={(reason) => reason.reason_code}
            columns={[
              { key: "why", head: "Why", cell: (reason) => <span title={reason.reason_code}>{reason.text}</span> },
              { key: "count", head: "Devices", cell: (reason) => formatCount(reason.count), isNumber: true },
            ]}
          />
        )}
      </Section>
    </div>
  );
}
