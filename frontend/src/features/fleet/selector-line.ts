/** The filter as one line of text and back: `region = eu-north and is_online = false and cam`. */
import type { DeviceFilter } from "@/lib/path-builder";

const FIELDS = ["state", "is_online", "region", "site", "hardware_profile", "model", "version", "label"] as const;

type Field = (typeof FIELDS)[number];

const isField = (name: string): name is Field => (FIELDS as readonly string[]).includes(name);

/** Writes a filter as a selector; words without a field are the search. */
export function writeSelector(filter: DeviceFilter): string {
  const parts = FIELDS.flatMap((field) => {
    const value = filter[field];
    return value === undefined || value === "" ? [] : [`${field} = ${value}`];
  });
  if (filter.search !== undefined && filter.search !== "") parts.push(filter.search);
  return parts.join(" and ");
}

export interface ReadSelector {
  filter: DeviceFilter;
  /** What cannot be understood, in one sentence; null when all is well. */
  problem: string | null;
}

/** Reads a selector line. */
export function readSelector(text: string): ReadSelector {
  const filter: DeviceFilter = {};
  const rest: string[] = [];
  for (const part of text.split(/\s+and\s+/i).map((piece) => piece.trim()).filter((piece) => piece !== "")) {
    const match = /^([a-z_]+)\s*=\s*(.+)$/i.exec(part);
    if (match === null) {
      rest.push(part);
      continue;
    }
    const [, name = "", value = ""] = match;
    if (!isField(name)) return { filter, problem: `Devices have no ${name}. Known are ${FIELDS.join(", ")}.` };
    if (name === "is_online" && value !== "true" && value !== "false") return { filter, problem: "is_online is true or false." };
    filter[name] = value.trim();
  }
  if (rest.length > 0) filter.search = rest.join(" ");
  return { filter, problem: null };
}
