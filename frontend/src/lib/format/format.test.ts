// @vitest-environment node
import { describe, expect, it } from "vitest";

import { formatBytes, formatMemory } from "@/lib/format/bytes";
import { formatCount, formatFixed, formatGateInterval, formatGateValue, formatMeasure, formatRatio, formatShare, formatTick, plural } from "@/lib/format/number";
import { shortDigest, words } from "@/lib/format/text";
import { formatAge, formatDuration, formatMoment, formatRelative } from "@/lib/format/time";

/** Thin spaces as plain ones, so that expectations can be read. */
const plain = (text: string) => text.replaceAll("\u2009", " ");

const NOW = Date.parse("2026-11-20T14:32:00Z");

describe("numbers", () => {
  it.each([
    [0, "0"],
    [12_391, "12,391"],
    [99_999, "99,999"],
    [238_000, "238 k"],
    [999_600, "1.00 M"],
    [1_860_000, "1.86 M"],
    [-5, "−5"],
  ])("counts %d as %s", (value, text) => {
    expect(plain(formatCount(value))).toBe(text);
  });

  it("says no data for what is not known, and 0 for zero", () => {
    expect([formatCount(null), formatRatio(undefined), formatMeasure(Number.NaN), formatCount(0)]).toEqual(["no data", "no data", "no data", "0"]);
  });

  it("never writes a minus before zero", () => {
    expect(formatFixed(-0.001, 1)).toBe("0.0");
  });

  it("writes percent with one decimal, small ones with two, and none without a denominator", () => {
    expect([formatRatio(0.9768), formatRatio(0.0021), formatRatio(0), formatShare(1, 0)].map(plain)).toEqual(["97.7 %", "0.21 %", "0.0 %", "–"]);
  });

  it("writes ticks without trailing zeros", () => {
    expect([0, 0.5, 2.5, 100, 0.1 + 0.2, 1_000_000].map((tick) => plain(formatTick(tick)))).toEqual(["0", "0.5", "2.5", "100", "0.3", "1.00 M"]);
  });

  it("knows one from many", () => {
    expect([plural(1, "device"), plural(64, "device")]).toEqual(["1 device", "64 devices"]);
  });
});

describe("gate values", () => {
  it("writes a difference of ratios in percentage points with its sign", () => {
    expect(plain(formatGateValue(0.019, "ratio", true))).toBe("+1.90 pp");
    expect(plain(formatGateValue(-0.0002, "ratio", true))).toBe("−0.02 pp");
  });

  it("writes a level in percent without a sign", () => {
    expect(plain(formatGateValue(0.118, "ratio", false))).toBe("11.8 %");
  });

  it("writes a relative change in percent", () => {
    expect(plain(formatGateValue(0.25, "relative", true))).toBe("+25.0 %");
  });

  it("keeps a unit it has no rule for", () => {
    expect(plain(formatGateValue(0.9, "°C", true))).toBe("+0.9 °C");
  });

  it("writes the interval with the same digits at both ends, and nothing when an end is missing", () => {
    expect(formatGateInterval(0.089, 0.147, "ratio", false)).toBe("[8.9, 14.7]");
    expect(formatGateInterval(-0.0009, 0.0005, "ratio", true)).toBe("[−0.09, +0.05]");
    expect(formatGateInterval(-0.00001, 0.00001, "ratio", true)).toBe("[0.00, 0.00]");
    expect(formatGateInterval(null, 0.1, "ratio", true)).toBe("");
  });
});

describe("bytes", () => {
  it("counts files in thousands and memory in 1024s", () => {
    expect([formatBytes(2_100_000), formatBytes(999), formatMemory(536_870_912), formatMemory(0)].map(plain)).toEqual(["2.1 MB", "999 B", "512 MiB", "0 B"]);
  });
});

describe("time", () => {
  it.each([
    [400, "0.4 s"],
    [42_000, "42 s"],
    [372_000, "6 min 12 s"],
    [23_280_000, "6 h 28 min"],
    [273_600_000, "3 d 4 h"],
    [0, "0 s"],
  ])("writes a duration of %d ms as %s", (length, text) => {
    expect(plain(formatDuration(length))).toBe(text);
  });

  it("gives an age in one unit", () => {
    expect([4_000, 780_000, 108_000_000, 259_200_000].map((ago) => plain(formatAge(NOW - ago, NOW)))).toEqual(["4 s", "13 min", "30 h", "3 d"]);
  });

  it("is relative up to 24 h, then names the day, and the year when it is another", () => {
    expect(plain(formatRelative("2026-11-20T14:19:00Z", NOW))).toBe("13 min ago");
    expect(formatRelative("2026-11-19T08:10:00Z", NOW)).toBe("19 Nov 08:10");
    expect(formatRelative("2025-11-19T08:10:00Z", NOW)).toBe("19 Nov 2025 08:10");
    expect(plain(formatRelative("2026-11-20T21:00:00Z", NOW))).toBe("in 6 h 28 min");
  });

  it("names the day of a moment only when it is not today", () => {
    expect([formatMoment("2026-11-20T12:10:00Z", NOW), formatMoment("2026-11-21T13:40:00Z", NOW)]).toEqual(["12:10", "21 Nov 13:40"]);
  });
});

describe("text", () => {
  it("turns codes into words and shortens digests", () => {
    expect([words("self_test_failed"), shortDigest("e3b7000000000041fd")]).toEqual(["self test failed", "e3b7…41fd"]);
  });
});
