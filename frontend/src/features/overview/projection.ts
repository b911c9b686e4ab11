/** Web Mercator, fitted to the places that are shown. Positions come out as 0 to 1 of the frame. */
export interface Place {
  latitude: number;
  longitude: number;
}

export interface Frame {
  x: number;
  y: number;
  width: number;
  height: number;
}

const LIMIT_DEG = 84;

/** Longitude and latitude in degrees to Mercator units, 0 to 1 each, y downwards. */
export function project(longitude: number, latitude: number): [number, number] {
  const phi = (Math.max(-LIMIT_DEG, Math.min(LIMIT_DEG, latitude)) * Math.PI) / 180;
  return [(longitude + 180) / 360, (1 - Math.log(Math.tan(phi) + 1 / Math.cos(phi)) / Math.PI) / 2];
}

/**
 * The smallest frame of the given width-to-height ratio that holds all places with a margin (more above and below, where captions stand), never narrower than
 * `leastWidth` of the world (a single shop is shown in its country, not in its street).
 */
export function fitFrame(places: readonly Place[], ratio: number, leastWidth = 0.06): Frame {
  const points = places.map((place) => project(place.longitude, place.latitude));
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
  const width = Math.max(leastWidth, (right - left) * 1.24, (bottom - top) * 1.9 * ratio);
  const height = width / ratio;
  return { x: (left + right) / 2 - width / 2, y: (top + bottom) / 2 - height / 2, width, height };
}

/** Where a place lies in a frame, 0 to 1. */
export function inFrame(place: Place, frame: Frame): { x: number; y: number } {
  const [x, y] = project(place.longitude, place.latitude);
  return { x: (x - frame.x) / frame.width, y: (y - frame.y) / frame.height };
}

/**
 * Parts the places into groups that are shown in one map each: places closer than `reach` of the world's width to any member
 * join it. The group with most weight comes first.
 */
export function groupPlaces<T extends Place & { weight: number }>(places: readonly T[], reach = 0.09): T[][] {
  const groups: T[][] = [];
  for (const place of places) {
    const [x, y] = project(place.longitude, place.latitude);
    const near = groups.filter((group) =>
      group.some((other) => {
        const [otherX, otherY] = project(other.longitude, other.latitude);
        return Math.hypot(otherX - x, otherY - y) <= reach;
      }),
    );
    const joined = [place, ...near.flat()];
    for (const group of near) groups.splice(groups.indexOf(group), 1);
    groups.push(joined);
  }
  const weight = (group: T[]) => group.reduce((sum, place) => sum + place.weight, 0);
  return groups.sort((a, b) => weight(b) - weight(a));
}
