interface SparkProps {
  values: readonly (number | null)[];
  /** What the full height means, so that noise does not look like news; default: the highest value. */
  limit?: number;
  width?: number;
  height?: number;
}

/** What is narrower, in px, is a speck and not a course. */
const LEAST_WIDTH = 8;

/** A course without axes, from zero to its limit. A gap stays a gap. */
export function Spark({ values, limit, width = 64, height = 22 }: SparkProps) {
  const known = values.filter((value): value is number => value !== null);
  const step = width / Math.max(values.length - 1, 1);
  const isKnown = (value: number | null) => value !== null;
  if ((values.findLastIndex(isKnown) - values.findIndex(isKnown)) * step < LEAST_WIDTH) return null;
  const top = Math.max(limit ?? 0, ...known) * 1.05 || 1;
  let path = "";
  let isDrawing = false;
  values.forEach((value, index) => {
    if (value === null) {
      isDrawing = false;
      return;
    }
    path += `${isDrawing ? "L" : "M"}${(index * step).toFixed(1)} ${(height - 1 - (value / top) * (height - 2)).toFixed(1)}`;
    isDrawing = true;
  });
  return (
    <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`} aria-hidden style={{ flex: "none", marginBottom: 4 }}>
      <path d={path} fill="none" stroke="var(--fl-accent)" strokeWidth="1.25" strokeLinejoin="round" />
    </svg>
  );
}
