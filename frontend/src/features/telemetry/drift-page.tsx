import { useQuery } from "@tanstack/react-query";
import type { CSSProperties } from "react";

import { AppLink } from "@/components/ui/app-link";
import { Choice } from "@/components/ui/choice";
import { DataTable } from "@/components/ui/data-table";
import { Empty } from "@/components/ui/empty";
import { FigureRow } from "@/components/ui/figure";
import { Loaded } from "@/components/ui/loading";
import { PageHead } from "@/components/ui/page";
import { Section } from "@/components/ui/section";
import { DistributionPlot, HistoryPlot } from "@/features/telemetry/drift-plots";
import { ALERT_AT, driftSentence, segmentName, WARN_AT, worstCell } from "@/features/telemetry/drift-steps";
import styles from "@/features/telemetry/drift.module.css";
import { HeatMap } from "@/features/telemetry/heat-map";
import { useNow } from "@/hooks/use-now";
import { useSearchState } from "@/hooks/use-search-state";
import { driftCellQuery, driftQuery } from "@/lib/api/queries/telemetry";
import type { Drift, DriftCell, DriftCellDetail } from "@/lib/api/types";
import { formatCount, formatFixed, formatMeasure, NO_DATA, plural } from "@/lib/format/number";
import { sentence, words } from "@/lib/format/text";
import { formatMoment } from "@/lib/format/time";
import { paths } from "@/lib/path-builder";

const score = (value: number | null) => (value === null ? NO_DATA : formatFixed(Math.max(0, value), 2));

function titleOf(drift: Drift): string {
  if (drift.version === null) return "No version is being judged";
  const worst = worstCell(drift);
  if (worst === undefined || worst.verdict === "not_enough_data") return `Not enough data yet for ${drift.model ?? ""} ${drift.version}`;
  if (worst.verdict === "quiet") return `Nothing drifts on ${drift.model ?? ""} ${drift.version}`;
  return `${sentence(words(worst.feature))} drifts in ${segmentName(worst)}`;
}

function Figures({ cell }: { cell: DriftCell }) {
  return (
    <FigureRow
      figures={[
        { label: "PSI excess", value: score(cell.psi_excess), tone: cell.verdict === "alert" ? "crit" : cell.verdict === "warn" ? "warn" : undefined },
        { label: "Mean", value: cell.mean_reference === null || cell.mean_current === null ? NO_DATA : `${formatMeasure(cell.mean_reference)} → ${formatMeasure(cell.mean_current)}` },
        { label: "Jensen-Shannon", value: score(cell.js_distance) },
        { label: "Rows", value: formatCount(cell.row_count) },
      ]}
    />
  );
}

function Devices({ detail, cell }: { detail: DriftCellDetail; cell: DriftCell }) {
  const most = Math.max(ALERT_AT, ...detail.devices.map((device) => device.psi_excess ?? 0));
  const above = detail.devices.filter((device) => (device.psi_excess ?? 0) >= ALERT_AT).length;
  return (
    <Section title="Devices behind it" meta={`${formatCount(above)} of ${formatCount(detail.devices.length)} above alert`} end={cell.region !== null && <AppLink className="link" to={paths.devices({ region: cell.region })}>All in {cell.region}</AppLink>}>
      {detail.devices.length === 0 ? (
        <Empty title="No device has reported it in this window." />
      ) : (
        <DataTable
          label="Devices behind it"
          rows={detail.devices}
          rowKey={(device) => device.id}
          columns={[
            {
              key: "device",
              head: "Device",
              cell: (device) => (
                <AppLink to={paths.device(device.id)} className="mono" data-row>
                  {device.name}
                </AppLink>
              ),
            },
            { key: "site", head: "Site", cell: (device) => <span className="t2">{device.site ?? "–"}</span>, priority: "medium" },
            {
              key: "score",
              head: "PSI excess",
              isNumber: true,
              cell: (device) => (
                <>
                  <span className={styles.mini} aria-hidden>
                    <i data-tone={(device.psi_excess ?? 0) >= ALERT_AT ? "alert" : (device.psi_excess ?? 0) >= WARN_AT ? "warn" : "quiet"} style={{ "--ratio": `${((100 * Math.max(0, device.psi_excess ?? 0)) / most).toFixed(1)}%` } as CSSProperties} />
                  </span>
                  {score(device.psi_excess)}
                </>
              ),
            },
            { key: "mean", head: "Mean", cell: (device) => (device.mean === null ? "–" : formatMeasure(device.mean)), isNumber: true },
            { key: "rows", head: "Rows", cell: (device) => formatCount(device.row_count), isNumber: true },
          ]}
        />
      )}
    </Section>
  );
}

function Changes({ detail }: { detail: DriftCellDetail }) {
  const now = useNow();
  if (detail.marks.length === 0) return null;
  return (
    <div>
      <h3 className="b6" style={{ fontSize: 13, margin: "10px 0 4px" }}>
        What changed beside it
      </h3>
      <DataTable
        label="What changed beside it"
        rows={detail.marks.slice(-5).toReversed()}
        rowKey={(mark) => `${mark.at} ${mark.text}`}
        columns={[
          { key: "text", head: "Change", cell: (mark) => (mark.id === null || paths.object(mark.kind.split(".")[0] ?? "", mark.id) === null ? mark.text : <AppLink className="link" to={paths.object(mark.kind.split(".")[0] ?? "", mark.id) ?? ""}>{mark.text}</AppLink>) },
          { key: "at", head: "When", cell: (mark) => <span className="t2">{formatMoment(mark.at, now)}</span>, isNumber: true },
        ]}
      />
    </div>
  );
}

function DriftMap({ drift }: { drift: Drift }) {
  const [search, setSearch] = useSearchState();
  const asked = search["feature"] === undefined ? undefined : drift.cells.find((cell) => cell.feature === search["feature"] && (search["region"] === undefined || cell.region === search["region"]) && (search["hardware_profile"] === undefined || cell.hardware_profile === search["hardware_profile"]));
  const cell = asked ?? worstCell(drift);
  const detail = useQuery(driftCellQuery(cell === undefined || drift.version_id === null ? null : { version_id: drift.version_id, region: cell.region, hardware_profile: cell.hardware_profile, feature: cell.feature }));
  const select = (chosen: DriftCell) => setSearch({ region: chosen.region ?? undefined, hardware_profile: chosen.hardware_profile ?? undefined, feature: chosen.feature });
  if (cell === undefined) {
    return <Empty title="No drift has been measured yet.">A version with a reference profile is judged as soon as devices report windows of it. Publish it with an evaluation set to give it one.</Empty>;
  }
  // Rows for all hardware of a region hold the same devices as the rows of its profiles.
  const wholes = drift.segments.filter((segment) => segment.hardware_profile === null);
  const devices = (wholes.length > 0 ? wholes : drift.segments).reduce((sum, segment) => sum + segment.device_count, 0);
  return (
    <div className={`cols ${styles.columns ?? ""}`}>
      <Section title="Segment × feature" meta={`${plural(devices, "device")} on ${drift.model ?? ""} ${drift.version ?? ""}, against its reference profile`}>
        <HeatMap drift={drift} selected={cell} onSelect={select} />
      </Section>
      <Section title={`${sentence(words(cell.feature))}, ${segmentName(cell)}`}>
        <Figures cell={cell} />
        <Loaded query={detail} what="This cell" rows={5}>
          {(data) => (
            <>
              <DistributionPlot cell={cell} detail={data} />
              <Changes detail={data} />
            </>
          )}
        </Loaded>
      </Section>
      <Section title="History of this cell" meta="PSI excess per window" end={<span>◇ rollout or change</span>}>
        <Loaded query={detail} what="The history" rows={4}>
          {(data) => <HistoryPlot detail={data} />}
        </Loaded>
      </Section>
      {detail.data !== undefined && <Devices detail={detail.data} cell={cell} />}
    </div>
  );
}

export function DriftPage() {
  const [search, setSearch] = useSearchState();
  const now = useNow();
  const query = useQuery(driftQuery({ version_id: search["version_id"] }));
  const drift = query.data;
  const control = drift?.false_discovery_ratio == null ? "" : ` · false discoveries held to ${formatFixed(drift.false_discovery_ratio * 100, 0)} %`;
  return (
    <>
      <PageHead
        title={drift === undefined ? "Drift" : titleOf(drift)}
        context={drift?.window != null && `${driftSentence(drift)}${control} · window ${formatMoment(drift.window.start, now)} to ${formatMoment(drift.window.end, now)}`}
        actions={
          drift !== undefined &&
          drift.versions.length > 0 && (
            <Choice label="Model" value={drift.version_id ?? ""} options={drift.versions.map((version) => ({ value: version.version_id, label: `${version.model} ${version.version}` }))} onChange={(version) => setSearch({ version_id: version, region: undefined, hardware_profile: undefined, feature: undefined })} />
          )
        }
      />
      <Loaded query={query} what="Drift" rows={12}>
        {(data) => <DriftMap drift={data} />}
      </Loaded>
    </>
  );
}
