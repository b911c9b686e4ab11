import { useQuery } from "@tanstack/react-query";
import type { CSSProperties } from "react";

import { AppLink } from "@/components/ui/app-link";
import { Icon } from "@/components/ui/icon";
import { loadLand, PATH_SCALE } from "@/features/overview/land";
import styles from "@/features/overview/overview.module.css";
import { fitFrame, inFrame } from "@/features/overview/projection";
import { formatCount } from "@/lib/format/number";
import { paths } from "@/lib/path-builder";

export interface MapSite {
  name: string;
  region: string;
  latitude: number;
  longitude: number;
  weight: number;
  online: number;
  severity: "critical" | "warning" | null;
}

interface SiteMapProps {
  sites: readonly MapSite[];
  caption: string;
  /** Width to height. */
  ratio: number;
}

const variables = (values: Record<string, string>) => values as CSSProperties;

/** Area in proportion to devices, readable from one device to thousands. */
const sizeOf = (devices: number) => `${Math.min(16, Math.max(6, 4 + 1.6 * Math.sqrt(devices))).toFixed(1)}px`;

/** Where the sites are. Only trouble is coloured and named; the list beside the map is the primary reading. */
export function SiteMap({ sites, caption, ratio }: SiteMapProps) {
  const land = useQuery({ queryKey: ["land"], queryFn: loadLand, staleTime: Infinity });
  const frame = fitFrame(sites, ratio);
  const box = [frame.x, frame.y, frame.width, frame.height].map((value) => (value * PATH_SCALE).toFixed(1)).join(" ");
  return (
    <div className={styles.map} style={variables({ "--map-ratio": String(ratio) })}>
      <svg viewBox={box} preserveAspectRatio="none" aria-hidden>
        {land.data !== undefined && (
          <>
            <path className={styles.land} d={land.data.land} />
            <path className={styles.borders} d={land.data.borders} />
          </>
        )}
      </svg>
      {sites.map((site) => {
        const { x, y } = inFrame(site, frame);
        const place = { "--x": `${(x * 100).toFixed(2)}%`, "--y": `${(y * 100).toFixed(2)}%` };
        const title = `${site.name}: ${site.online} of ${formatCount(site.weight)} online`;
        if (site.severity === null) {
          return <AppLink key={site.name} to={paths.devices({ site: site.name })} className={styles.pin} style={variables({ ...place, "--size": sizeOf(site.weight) })} title={title} aria-label={title} />;
        }
        const tone = site.severity === "critical" ? "crit" : "warn";
        return (
          <AppLink key={site.name} to={paths.devices({ site: site.name })} title={title} aria-label={title}>
            <span className={styles.trouble} style={variables(place)}>
              <Icon name={site.severity === "critical" ? "failed" : "warning"} />
            </span>
            <span className={`${styles.name ?? ""} ${tone}`} style={variables(place)} data-side={x > 0.62 ? "left" : "right"}>
              {site.name} {site.online < site.weight && `${site.online}/${site.weight}`}
            </span>
          </AppLink>
        );
      })}
      <span className={styles.caption}>{caption}</span>
    </div>
  );
}
