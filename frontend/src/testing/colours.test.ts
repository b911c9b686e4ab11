// @vitest-environment node
import { readdirSync, readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { DEPLOYMENT_ORDER, STATUS } from "@/components/ui/status-table";

describe("colours", () => {
  it("have names outside theme/", () => {
    const styles = ["app", "components", "features"].flatMap((folder) => readdirSync(`src/${folder}`, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".css")).map((name) => `src/${folder}/${name}`));
    const raw = styles.filter((path) => /#[0-9a-f]{3,8}\b|rgba?\(|hsla?\(/i.test(readFileSync(path, "utf8")));
    expect(styles.length).toBeGreaterThan(10);
    expect(raw).toEqual([]);
  });
});

describe("the status table", () => {
  it("orders every state of a deployment exactly once", () => {
    expect([...DEPLOYMENT_ORDER].toSorted()).toEqual(Object.keys(STATUS.deployment).toSorted());
  });

  it("gives every state of a thing a mark and word of its own", () => {
    for (const [thing, states] of Object.entries(STATUS)) {
      const words = Object.values(states).map((entry) => entry.word);
      if (thing !== "contact") expect(new Set(words).size, thing).toBe(words.length);
    }
  });
});
