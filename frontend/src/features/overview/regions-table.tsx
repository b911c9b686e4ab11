import { AppLink } from "@/components/ui/app-link";
import { Icon } from "@/components/ui/icon";
import styles from "@/features/overview/overview.module.css";
import type { AreaHealth, HourState, Overview } from "@/lib/api/types";
import { formatCount, formatMeasure, formatRatio, formatShare, NO_DATA, THIN_SPACE } from "@/lib/format/number";
import { paths } from "@/lib/path-builder";

const HOUR_WORDS: Record<HourState, string> = { ok: "well", warning: "with warnings", critical: "critical", no_data: "without data" };

function Hours({ hours }: { hours: readonly HourState[] }) {
  const counted = (["ok", "warning", "critical", "no_data"] as const).map((state) => [hours.filter((hour) => hour === state).length, HOUR_WORDS[state]] as const).filter(([count]) => count > 0);
  return (
    <span className={styles.strip} role="img" aria-label={`Last 24 h: ${counted.map(([count, word]) => `${count} h ${word}`).join(", ")}`}>
      {hours.map((hour, index) => (
        <i key={index} data-hour={hour} />
      ))}
    </span>
  );
}

function Severity({ severity }: { severity: AreaHealth["severity"] }) {
  if (severity === null) return null;
  return <Icon name={severity === "critical" ? "failed" : "warning"} size={12} label={severity} />;
}

function Cells({ area }: { area: AreaHealth }) {
  const isDown = area.total > 0 && area.online / area.total < 0.5;
  return (
    <>
      <td>{formatCount(area.total)}</td>
      <td className={isDown ? "crit" : undefined}>{formatCount(area.offline)}</td>
      <td className={`${isDown ? "crit" : ""} ${styles.optional ?? ""} ${styles.share ?? ""}`}>{formatShare(area.online, area.total)}</td>
      <td className={area.error_ratio === null ? "t3" : undefined}>{formatRatio(area.error_ratio)}</td>
      <td className={area.latency_ms_p95 === null ? "t3" : undefined}>{area.latency_ms_p95 === null ? NO_DATA : `${formatMeasure(area.latency_ms_p95)}${THIN_SPACE}ms`}</td>
      <td className={styles.optional}>
        <Hours hours={area.hours} />
      </td>
    </>
  );
}

/** Regions, and under each its worst sites. */
export function RegionsTable({ regions }: { regions: Overview["regions"] }) {
  return (
    <table className={styles.regions} aria-label="Regions and their worst sites">
      <thead>
        <tr>
          <th scope="col">Region and site</th>
          <th scope="col">Devices</th>
          <th scope="col">Offline</th>
          <th scope="col" className={`${styles.optional ?? ""} ${styles.share ?? ""}`}>
            Online
          </th>
          <th scope="col">Errors</th>
          <th scope="col">p95</th>
          <th scope="col" className={styles.optional}>
            24 h by hour
          </th>
        </tr>
      </thead>
      {regions.map((region) => (
        <tbody key={region.region}>
          <tr data-group>
            <td>
              <span className={styles.place}>
                <AppLink to={paths.devices({ region: region.region })} data-row>
                  {region.region}
                </AppLink>
                <span className="t3 s12">{region.site_count === 1 ? "1 site" : `${formatCount(region.site_count)} sites`}</span>
                <Severity severity={region.severity} />
              </span>
            </td>
            <Cells area={region} />
          </tr>
          {region.sites.map((site) => (
            <tr key={site.site}>
              <td className={styles.site}>
                <span className={styles.place}>
                  <AppLink to={paths.devices({ site: site.site })} data-row>
                    {site.site}
                  </AppLink>
                  <Severity severity={site.severity} />
                </span>
              </td>
              <Cells area={site} />
            </tr>
          ))}
        </tbody>
      ))}
    </table>
  );
}
