import { Tooltip } from "@mantine/core";

import styles from "@/app/frame.module.css";
import { Icon } from "@/components/ui/icon";
import { useNow } from "@/hooks/use-now";
import { formatClock, formatDuration } from "@/lib/format/time";
import { useLiveStatus } from "@/lib/live/live-context";

/** State of the live connection, at the foot of the navigation. The word is announced; the ticking age is not. */
export function Connection() {
  const now = useNow("second");
  const { state, lastMessageAt, lostAt, retryAt } = useLiveStatus();
  const retry = retryAt === null ? "" : `, retry in ${Math.max(0, Math.ceil((retryAt - now) / 1000))}\u2009s`;
  const lost = lostAt === null ? "" : formatClock(lostAt);
  const [mark, word, text, tone] =
    state === "live"
      ? [<i key="m" className={`${styles.dot ?? ""} ${styles.live ?? ""}`} />, "Live", lastMessageAt === null ? "connected" : `updated ${formatDuration(Math.max(0, now - lastMessageAt))} ago`, ""]
      : state === "connecting"
        ? [<i key="m" className={`${styles.dot ?? ""} ${styles.waiting ?? ""}`} />, "Connecting", "", ""]
        : state === "reconnecting"
          ? [<i key="m" className={`${styles.dot ?? ""} ${styles.waiting ?? ""}`} />, "Reconnecting", `since ${lost}${retry}`, "warn"]
          : [<Icon key="m" name="offline" size={14} />, state === "signed_out" ? "Signed out" : "Offline", `showing ${lost}${retry}`, "crit"];
  return (
    <Tooltip label={`${word}. ${text}`} position="right">
      <div className={styles.connection}>
        {mark}
        <strong className={tone} role="status">
          {word}
        </strong>
        <span>{text}</span>
      </div>
    </Tooltip>
  );
}
