import { Status } from "@/components/ui/status";
import { useNow } from "@/hooks/use-now";
import type { Device } from "@/lib/api/types";

const ALERT_AFTER_MS = 15 * 60_000;

/** Whether a device is in contact. Silence is only coloured once it has lasted. */
export function DeviceContact({ device, isPill = false }: { device: Pick<Device, "is_online" | "last_seen_at" | "state">; isPill?: boolean }) {
  const now = useNow();
  if (device.state === "pending" || device.state === "rejected" || device.state === "decommissioned") return <Status thing="device" state={device.state} isPill={isPill} />;
  if (device.is_online) return <Status thing="contact" state="online" isPill={isPill} />;
  const silence = device.last_seen_at === null ? Infinity : now - new Date(device.last_seen_at).getTime();
  return <Status thing="contact" state={silence > ALERT_AFTER_MS ? "offline-alert" : "offline"} isPill={isPill} />;
}
