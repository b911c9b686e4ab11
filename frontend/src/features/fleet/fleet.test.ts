// @vitest-environment node
import { describe, expect, it } from "vitest";

import { readLabels } from "@/features/fleet/enrol-dialog";
import { readSelector, writeSelector } from "@/features/fleet/selector-line";

describe("the selector line", () => {
  it("is read back as it was written", () => {
    const filter = { region: "eu-north", is_online: "false", label: "lens=wide", search: "cam osl" };
    expect(readSelector(writeSelector(filter))).toEqual({ filter, problem: null });
  });

  it("takes words for a search and names what it does not know", () => {
    expect(readSelector("cam-osl").filter).toEqual({ search: "cam-osl" });
    expect(readSelector("colour = red").problem).toContain("Devices have no colour.");
    expect(readSelector("is_online = maybe").problem).toBe("is_online is true or false.");
  });
});

describe("enrolment", () => {
  it("reads labels and refuses halves", () => {
    expect([readLabels("aisle=12, lens=wide"), readLabels("aisle"), readLabels("")]).toEqual([{ aisle: "12", lens: "wide" }, null, {}]);
  });
});
