import { Age } from "@/components/ui/age";
import { AppLink } from "@/components/ui/app-link";
import { Status } from "@/components/ui/status";
import styles from "@/features/fleet/device.module.css";
import { useNow } from "@/hooks/use-now";
import type { Device } from "@/lib/api/types";
import { formatMemory } from "@/lib/format/bytes";
import { formatFixed, formatRatio, THIN_SPACE } from "@/lib/format/number";
import { formatDay, formatDuration } from "@/lib/format/time";
import { paths } from "@/lib/path-builder";

const DAY_MS = 86_400_000;

/** Values a device reported, as text; structures as they are. */
const textOf = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));

export function DeviceIdentity({ device }: { device: Device }) {
  const now = useNow();
  const expires = device.certificate_expires_at === null ? null : new Date(device.certificate_expires_at).getTime();
  const clock = device.health?.clock_offset_s;
  const labels = Object.entries(device.labels);
  const attributes = Object.entries(device.attributes);
  return (
    <dl className={styles.facts}>
      <dt>State</dt>
      <dd>
        <Status thing="device" state={device.state} />
        <small>enrolled {formatDay(device.created_at, now)}</small>
      </dd>
      <dt>Hardware</dt>
      <dd>
        <AppLink className="link" to={paths.devices({ hardware_profile: device.hardware_profile.name })}>
          {device.hardware_profile.name}
        </AppLink>
      </dd>
      <dt>Site</dt>
      <dd>
        {device.site === null ? (
          <span className="t3">none</span>
        ) : (
          <AppLink className="link" to={paths.devices({ site: device.site.name })}>
            {device.site.name}
          </AppLink>
        )}
        {device.region !== null && <small>{device.region.name}</small>}
      </dd>
      <dt>Agent</dt>
      <dd>{device.agent_version || <span className="t3">not reported</span>}</dd>
      <dt>Certificate</dt>
      <dd className={expires !== null && expires - now < 7 * DAY_MS ? "warn" : undefined}>{expires === null ? <span className="t3">none</span> : expires < now ? "expired" : `expires in ${formatDuration(expires - now)}`}</dd>
      <dt>Controller id</dt>
      <dd className="mono">{device.controller_id}</dd>
      <dt>Storage</dt>
      <dd>{device.health?.storage_used_ratio === undefined || device.health.storage_used_ratio === null ? <span className="t3">no data</span> : `${formatRatio(device.health.storage_used_ratio)} used`}</dd>
      <dt>Process</dt>
      <dd>{device.health?.process_memory_bytes === undefined || device.health.process_memory_bytes === null ? <span className="t3">no data</span> : formatMemory(device.health.process_memory_bytes)}</dd>
      <dt>Uptime</dt>
      <dd>{device.health?.uptime_s === undefined || device.health.uptime_s === null ? <span className="t3">no data</span> : formatDuration(device.health.uptime_s * 1000)}</dd>
      <dt>Clock</dt>
      <dd>{clock === undefined || clock === null ? <span className="t3">no data</span> : `${clock > 0 ? "+" : ""}${formatFixed(clock, 1)}${THIN_SPACE}s`}</dd>
      <dt>Last sample</dt>
      <dd>
        <Age at={device.health_at} isLive />
      </dd>
      <dt>Labels</dt>
      <dd>
        {labels.length === 0 && <span className="t3">none</span>}
        {labels.map(([key, value]) => (
          <AppLink key={key} className={styles.label} to={paths.devices({ label: `${key}=${value}` })}>
            {key}={value}
          </AppLink>
        ))}
      </dd>
      {attributes.length > 0 && (
        <>
          <dt>Attributes</dt>
          <dd>
            {attributes.map(([key, value]) => (
              <span key={key} className={styles.label}>
                {key}={textOf(value)}
              </span>
            ))}
          </dd>
        </>
      )}
    </dl>
  );
}
