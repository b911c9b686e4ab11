/** The tokens as colours a canvas understands: light-dark() and color-mix() resolved for the scheme that is on. */
const NAMES = {
  canvas: "--fl-canvas",
  line: "--fl-line",
  lineStrong: "--fl-line-strong",
  text: "--fl-text",
  text2: "--fl-text-2",
  text3: "--fl-text-3",
  accent: "--fl-accent",
  okFill: "--fl-ok-fill",
  warnFill: "--fl-warn-fill",
  warn: "--fl-warn",
  crit: "--fl-crit",
  critFill: "--fl-crit-fill",
  ink: "--fl-ink",
} as const;

export type ChartTokens = Record<keyof typeof NAMES, string>;

/** Reads every token through a probe element, because a custom property itself is never computed to a colour. */
export function readChartTokens(): ChartTokens {
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const tokens = {} as ChartTokens;
  for (const [key, name] of Object.entries(NAMES)) {
    probe.style.color = `var(${name})`;
    tokens[key as keyof ChartTokens] = getComputedStyle(probe).color;
  }
  probe.remove();
  return tokens;
}

/** `colour` (an rgb() of readChartTokens) with another opacity, 0 to 1. */
export function withAlpha(colour: string, alpha: number): string {
  const parts = colour.match(/[\d.]+/g);
  return parts === null ? colour : `rgba(${parts.slice(0, 3).join(", ")}, ${alpha})`;
}

/** A diagonal hatch as a fill, for stretches without data. */
export function hatch(colour: string): { image: HTMLCanvasElement; repeat: "repeat" } | string {
  const tile = document.createElement("canvas");
  tile.width = 8;
  tile.height = 8;
  const pen = tile.getContext("2d");
  if (pen === null) return colour;
  pen.strokeStyle = colour;
  pen.lineWidth = 1;
  pen.beginPath();
  for (const offset of [-8, 0, 8]) {
    pen.moveTo(offset, 8);
    pen.lineTo(offset + 8, 0);
  }
  pen.stroke();
  return { image: tile, repeat: "repeat" };
}
