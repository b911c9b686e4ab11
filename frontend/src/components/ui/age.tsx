import { useNow } from "@/hooks/use-now";
import { formatFull, formatRelative } from "@/lib/format/time";
import { useLiveStatus } from "@/lib/live/live-context";

const STALE_MS = 30_000;

interface AgeProps {
  at: string | null | undefined;
  /** What stands for "never". */
  none?: string;
  /** True for readings that should keep coming: their age turns amber when the connection is silent. */
  isLive?: boolean;
}

/** How long ago, ticking; the full moment on hover. */
export function Age({ at, none = "never", isLive = false }: AgeProps) {
  const about = useNow();
  const isYoung = at !== null && at !== undefined && Math.abs(about - new Date(at).getTime()) < 70_000;
  const now = useNow(isYoung ? "second" : "ten-seconds");
  const { state, lostAt } = useLiveStatus();
  if (at === null || at === undefined) return <span className="t3">{none}</span>;
  const isStale = isLive && state !== "live" && lostAt !== null && now - lostAt > STALE_MS;
  return (
    <time dateTime={at} title={formatFull(at)} className={isStale ? "warn" : undefined}>
      {formatRelative(at, now)}
    </time>
  );
}
