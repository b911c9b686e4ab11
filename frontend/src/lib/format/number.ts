/** Numbers as the screens write them: grouped below 100,000, then three digits and a letter; real minus; thin space before units. */

export const THIN_SPACE = "\u2009";
const MINUS = "\u2212";
export const NO_DATA = "no data";

type Maybe = number | null | undefined;

function isMissing(value: Maybe): value is null | undefined {
  return value === null || value === undefined || Number.isNaN(value);
}

/** Writes `value` with `digits` decimals, grouping commas and a real minus sign. */
export function formatFixed(value: number, digits: number): string {
  const text = Math.abs(value).toLocaleString("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const isZero = Number(Math.abs(value).toFixed(digits)) === 0;
  return value < 0 && !isZero ? `${MINUS}${text}` : text;
}

function threeDigits(value: number): string {
  const size = Math.abs(value);
  return formatFixed(value, size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
}

/** A count without unit: `12,391`, `238 k`, `1.86 M`. */
export function formatCount(value: Maybe): string {
  if (isMissing(value)) return NO_DATA;
  const size = Math.abs(value);
  if (size < 100_000) return formatFixed(value, 0);
  if (size < 999_500) return `${threeDigits(value / 1e3)}${THIN_SPACE}k`;
  if (size < 999_500_000) return `${threeDigits(value / 1e6)}${THIN_SPACE}M`;
  return `${threeDigits(value / 1e9)}${THIN_SPACE}G`;
}

/** A measured value with three significant digits below 1000: `38`, `0.81`, `43.2`. */
export function formatMeasure(value: Maybe): string {
  if (isMissing(value)) return NO_DATA;
  const size = Math.abs(value);
  if (size >= 100_000) return formatCount(value);
  if (size >= 99.95) return formatFixed(value, 0);
  if (size >= 9.995) return formatFixed(value, 1);
  return formatFixed(value, 2);
}

/** A tick of an axis: three significant digits at most and no zeros behind them. */
export function formatTick(value: number): string {
  const rounded = Number(value.toPrecision(3));
  const decimals = Number.isInteger(rounded) ? 0 : Math.min(6, (String(rounded).split(".")[1] ?? "").length);
  return Math.abs(rounded) >= 100_000 ? formatCount(rounded) : formatFixed(rounded, decimals);
}

/** Ratio 0 to 1 as percent: `97.7 %`; small ones keep two decimals (`0.21 %`). */
export function formatRatio(value: Maybe, digits?: number): string {
  if (isMissing(value)) return NO_DATA;
  return `${formatPercentNumber(value, digits)}${THIN_SPACE}%`;
}

/** The number of a percentage without its sign, for figures that set the unit apart. */
export function formatPercentNumber(value: number, digits?: number): string {
  const percent = value * 100;
  const decimals = digits ?? (Math.abs(percent) < 1 && percent !== 0 ? 2 : 1);
  return formatFixed(percent, decimals);
}

/** `part` of `whole` in percent, one decimal. A whole of zero has no percentage. */
export function formatShare(part: number, whole: number): string {
  return whole === 0 ? "\u2013" : formatRatio(part / whole, 1);
}

interface UnitRule {
  difference: string;
  level: string;
  digits: number;
  scale: number;
}

const UNIT_RULES: Record<string, UnitRule> = {
  ratio: { difference: `${THIN_SPACE}pp`, level: `${THIN_SPACE}%`, digits: 2, scale: 100 },
  relative: { difference: `${THIN_SPACE}%`, level: `${THIN_SPACE}%`, digits: 1, scale: 100 },
  ms: { difference: `${THIN_SPACE}ms`, level: `${THIN_SPACE}ms`, digits: 1, scale: 1 },
};

/** How a gate's unit is written; a unit without a rule stands behind the number as it is. */
function unitRule(unit: string): UnitRule {
  const suffix = unit === "" ? "" : `${THIN_SPACE}${unit}`;
  return UNIT_RULES[unit] ?? { difference: suffix, level: suffix, digits: unit === "" ? 3 : 1, scale: 1 };
}

function digitsFor(scaled: number, most: number): number {
  return Math.abs(scaled) >= 10 ? Math.min(most, 1) : most;
}

/** A number with its plus where it is a difference; what rounds to zero has no sign. */
function signed(value: number, digits: number, isDifference: boolean): string {
  return `${isDifference && Number(value.toFixed(digits)) > 0 ? "+" : ""}${formatFixed(value, digits)}`;
}

/** A gate's value in its own unit. A difference carries its sign, and percentage points for ratios; a level does not. */
export function formatGateValue(value: Maybe, unit: string, isDifference: boolean): string {
  if (isMissing(value)) return NO_DATA;
  const { difference, level, digits, scale } = unitRule(unit);
  const scaled = value * scale;
  return `${signed(scaled, digitsFor(scaled, digits), isDifference)}${isDifference ? difference : level}`;
}

/** A gate's 95 % interval without unit: `[−0.09, +0.05]`. */
export function formatGateInterval(low: Maybe, high: Maybe, unit: string, isDifference: boolean): string {
  if (isMissing(low) || isMissing(high)) return "";
  const { digits, scale } = unitRule(unit);
  const places = digitsFor(Math.max(Math.abs(low), Math.abs(high)) * scale, digits);
  const one = (value: number) => signed(value * scale, places, isDifference);
  return `[${one(low)}, ${one(high)}]`;
}

/** `1 device`, `64 devices`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}
