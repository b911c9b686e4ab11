/** Natural Earth's outline (world-atlas), bundled and read on first use; drawn as paths in Mercator units. */
import { feature, mesh } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";

import { project } from "@/features/overview/projection";

type World = Topology<{ countries: GeometryCollection; land: GeometryCollection }>;
type Ring = readonly (readonly number[])[];

export interface Land {
  land: string;
  borders: string;
}

/** Mercator units are 0 to 1; paths are written in thousandths of them times ten, which keeps numbers short. */
export const PATH_SCALE = 10_000;

function ringPath(ring: Ring, isClosed: boolean): string {
  let path = "";
  let previousX: number | null = null;
  for (const [longitude = 0, latitude = 0] of ring) {
    const [x, y] = project(longitude, latitude);
    // A step across the date line would draw a bar over the whole world.
    const isJump = previousX !== null && Math.abs(x - previousX) > 0.5;
    path += `${previousX === null || isJump ? "M" : "L"}${(x * PATH_SCALE).toFixed(1)} ${(y * PATH_SCALE).toFixed(1)}`;
    previousX = x;
  }
  return isClosed ? `${path}Z` : path;
}

let cached: Promise<Land> | null = null;

async function read(): Promise<Land> {
  const world = (await import("world-atlas/countries-50m.json")).default as unknown as World;
  const shapes = feature(world, world.objects.land);
  let land = "";
  for (const { geometry } of shapes.features) {
    const polygons = geometry.type === "Polygon" ? [geometry.coordinates] : geometry.type === "MultiPolygon" ? geometry.coordinates : [];
    for (const polygon of polygons) for (const ring of polygon) land += ringPath(ring, true);
  }
  const borders = mesh(world, world.objects.countries, (a, b) => a !== b)
    .coordinates.map((line) => ringPath(line, false))
    .join("");
  return { land, borders };
}

export function loadLand(): Promise<Land> {
  cached ??= read();
  return cached;
}
