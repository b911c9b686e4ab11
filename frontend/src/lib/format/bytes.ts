import { formatFixed, NO_DATA, THIN_SPACE } from "@/lib/format/number";

function scaled(value: number, base: number, units: readonly string[]): string {
  let size = value;
  let index = 0;
  while (Math.abs(size) >= base * 0.9995 && index < units.length - 1) {
    size /= base;
    index += 1;
  }
  const digits = index === 0 || Math.abs(size) >= 99.95 ? 0 : 1;
  return `${formatFixed(size, digits)}${THIN_SPACE}${units[index] ?? ""}`;
}

/** Files and traffic, decimal: `2.1 MB`. */
export function formatBytes(value: number | null | undefined): string {
  return value === null || value === undefined ? NO_DATA : scaled(value, 1000, ["B", "kB", "MB", "GB", "TB"]);
}

/** Memory, binary: `512 MiB`. */
export function formatMemory(value: number | null | undefined): string {
  return value === null || value === undefined ? NO_DATA : scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
}
