/** Times as the screens write them: relative up to 24 h, then `19 Nov 08:10`; UTC; durations with two units at most. */
import { formatFixed, THIN_SPACE } from "@/lib/format/number";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"] as const;

const two = (value: number) => String(value).padStart(2, "0");

/** `14:32`, or `14:32:07` with seconds. */
export function formatClock(at: string | number | Date, options: { seconds?: boolean } = {}): string {
  const date = new Date(at);
  const clock = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`;
  return options.seconds === true ? `${clock}:${two(date.getUTCSeconds())}` : clock;
}

/** `19 Nov`, with the year when it is not the present one. */
export function formatDay(at: string | number | Date, now: number): string {
  const date = new Date(at);
  const day = `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()] ?? ""}`;
  return date.getUTCFullYear() === new Date(now).getUTCFullYear() ? day : `${day} ${date.getUTCFullYear()}`;
}

/** `14:32` today, else `19 Nov 08:10`. */
export function formatMoment(at: string | number | Date, now: number): string {
  const isToday = new Date(at).toISOString().slice(0, 10) === new Date(now).toISOString().slice(0, 10);
  return isToday ? formatClock(at) : `${formatDay(at, now)} ${formatClock(at)}`;
}

/** A length of time, two units at most: `0.4 s`, `42 s`, `6 min 12 s`, `6 h 28 min`, `3 d 4 h`. */
export function formatDuration(milliseconds: number): string {
  const size = Math.max(0, milliseconds);
  const unit = (value: number, name: string) => `${value}${THIN_SPACE}${name}`;
  const pair = (first: number, firstName: string, second: number, secondName: string) =>
    second === 0 ? unit(first, firstName) : `${unit(first, firstName)} ${unit(second, secondName)}`;
  if (size < 10 * SECOND) return `${formatFixed(size / SECOND, size > 0 && size < 9950 ? 1 : 0)}${THIN_SPACE}s`;
  if (size < MINUTE) return unit(Math.floor(size / SECOND), "s");
  if (size < HOUR) return pair(Math.floor(size / MINUTE), "min", Math.floor((size % MINUTE) / SECOND), "s");
  if (size < DAY) return pair(Math.floor(size / HOUR), "h", Math.floor((size % HOUR) / MINUTE), "min");
  return pair(Math.floor(size / DAY), "d", Math.floor((size % DAY) / HOUR), "h");
}

/** How long ago, one unit: `4 s`, `13 min`, `30 h`, `3 d`. */
export function formatAge(at: string | number | Date, now: number): string {
  const age = Math.max(0, now - new Date(at).getTime());
  if (age < MINUTE) return `${Math.floor(age / SECOND)}${THIN_SPACE}s`;
  if (age < HOUR) return `${Math.floor(age / MINUTE)}${THIN_SPACE}min`;
  if (age < 2 * DAY) return `${Math.floor(age / HOUR)}${THIN_SPACE}h`;
  return `${Math.floor(age / DAY)}${THIN_SPACE}d`;
}

/** `4 s ago` up to 24 h, then the date; a time to come is `in 6 h 28 min`. */
export function formatRelative(at: string | number | Date, now: number): string {
  const distance = now - new Date(at).getTime();
  if (distance < -SECOND) return -distance < DAY ? `in ${formatDuration(-distance)}` : formatMoment(at, now);
  return distance < DAY ? `${formatAge(at, now)} ago` : formatMoment(at, now);
}

/** The full moment for a tooltip: `20 Nov 2026 14:32:07 UTC`. */
export function formatFull(at: string | number | Date): string {
  const date = new Date(at);
  return `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()] ?? ""} ${date.getUTCFullYear()} ${formatClock(date, { seconds: true })} UTC`;
}
