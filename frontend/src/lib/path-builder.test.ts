// @vitest-environment node
import { describe, expect, it } from "vitest";

import { paths } from "@/lib/path-builder";

describe("paths", () => {
  it("leaves out what is not chosen, so that equal screens have equal addresses", () => {
    expect(paths.devices({ region: "eu-north", site: "", search: undefined })).toBe("/devices?region=eu-north");
    expect(paths.devices()).toBe("/devices");
  });

  it("escapes what comes from data", () => {
    expect(paths.devices({ label: "a=b&c" })).toBe("/devices?label=a%3Db%26c");
    expect(paths.device("../x")).toBe("/devices/..%2Fx");
  });

  it("names every screen", () => {
    expect([paths.overview(), paths.rollout("r1", { wave: 2, gate: "error rate" }), paths.version("v1"), paths.drift({ feature: "contrast", hardware_profile: null }), paths.alerts({ alert: "a" }), paths.settings("tokens")]).toEqual([
      "/",
      "/rollouts/r1?wave=2&gate=error+rate",
      "/versions/v1",
      "/drift?feature=contrast",
      "/alerts?alert=a",
      "/settings?section=tokens",
    ]);
  });

  it("finds the page of an object and says when there is none", () => {
    expect(paths.object("device", "d1")).toBe("/devices/d1");
    expect(paths.object("unheard_of", "1")).toBeNull();
  });
});
