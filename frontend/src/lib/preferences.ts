/** What a person chose for this browser. Kept in local storage, because it is about the screen and not about the fleet. */
export type Density = "auto" | "compact" | "relaxed";

const DENSITY = "flotilla.density";
const SINGLE_KEYS = "flotilla.single-keys";
const TOUR_OPEN = "flotilla.tour-open";

function read(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    // Storage may be closed to us (private windows); then every choice lasts for the page.
    return null;
  }
}

function write(name: string, value: string): void {
  try {
    localStorage.setItem(name, value);
  } catch {
    // As above.
  }
}

export function density(): Density {
  const value = read(DENSITY);
  return value === "compact" || value === "relaxed" ? value : "auto";
}

export function setDensity(value: Density): void {
  write(DENSITY, value);
  applyPreferences();
}

/** Whether single letters act as shortcuts. */
export function hasSingleKeys(): boolean {
  return read(SINGLE_KEYS) !== "off";
}

export function setSingleKeys(isOn: boolean): void {
  write(SINGLE_KEYS, isOn ? "on" : "off");
}

export function isTourOpen(): boolean {
  return read(TOUR_OPEN) !== "no";
}

export function setTourOpen(isOpen: boolean): void {
  write(TOUR_OPEN, isOpen ? "yes" : "no");
}

/** Puts the chosen density on the root element, where tokens.css reads it. */
export function applyPreferences(): void {
  const chosen = density();
  if (chosen === "auto") delete document.documentElement.dataset["density"];
  else document.documentElement.dataset["density"] = chosen;
}
