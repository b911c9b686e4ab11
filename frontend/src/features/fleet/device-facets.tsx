import styles from "@/features/fleet/devices.module.css";
import { STATUS } from "@/components/ui/status-table";
import type { DeviceFacets, FacetValue } from "@/lib/api/types";
import { formatCount } from "@/lib/format/number";
import type { DeviceFilter } from "@/lib/path-builder";

type Facet = "is_online" | "state" | "region" | "site" | "hardware_profile" | "version";

const TITLES: readonly [Facet, string][] = [
  ["is_online", "Contact"],
  ["state", "State"],
  ["region", "Region"],
  ["site", "Site"],
  ["hardware_profile", "Hardware"],
  ["version", "Proven version"],
];

/** Facets with many values show the largest; the selector line reaches the rest. */
const MOST = 12;

function wordOf(facet: Facet, entry: FacetValue): string {
  if (entry.value === null) return "none";
  if (facet === "is_online") return entry.value === true ? "Online" : "Offline";
  if (facet === "version") return `${entry.model ?? ""} ${String(entry.value)}`;
  if (facet === "state") return (STATUS.device as Partial<Record<string, { word: string }>>)[String(entry.value)]?.word ?? String(entry.value);
  return String(entry.value);
}

interface DeviceFacetsProps {
  facets: DeviceFacets;
  filter: DeviceFilter;
  onChange: (filter: DeviceFilter) => void;
}

/** The filter an entry stands for; a version is one of a model. */
function filterOf(facet: Facet, entry: FacetValue): DeviceFilter {
  return facet === "version" ? { model: entry.model, version: String(entry.value) } : { [facet]: String(entry.value) };
}

export function DeviceFacetList({ facets, filter, onChange }: DeviceFacetsProps) {
  return (
    <>
      {TITLES.map(([facet, title]) => {
        const entries: FacetValue[] = facets[facet];
        return (
          <div key={facet} role="group" aria-label={title}>
            <div className={styles.facetTitle} aria-hidden>
              {title}
            </div>
            {entries.slice(0, MOST).map((entry) => {
              const own = Object.entries(filterOf(facet, entry)) as [keyof DeviceFilter, string][];
              const isOn = own.every(([field, value]) => filter[field] === value);
              const cleared: DeviceFilter = Object.fromEntries(own.map(([field]) => [field, undefined]));
              const text = wordOf(facet, entry);
              // Those without the value can be counted, but no filter says "has none".
              return entry.value === null ? (
                <span key={text} className={`${styles.value ?? ""} t3`}>
                  <span>{text}</span>
                  <b>{formatCount(entry.count)}</b>
                </span>
              ) : (
                <button key={text} type="button" className={styles.value} aria-pressed={isOn} data-zero={entry.count === 0} onClick={() => onChange(isOn ? cleared : Object.fromEntries(own))}>
                  <span className="clip">{text}</span>
                  <b>{formatCount(entry.count)}</b>
                </button>
              );
            })}
            {entries.length > MOST && <span className="t3 s11">{entries.length - MOST} more by selector</span>}
            {entries.length === 0 && <span className="t3 s12">none</span>}
          </div>
        );
      })}
    </>
  );
}
