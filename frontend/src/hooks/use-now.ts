import { useSyncExternalStore } from "react";

/** Shared clocks: everything that shows an age ticks together, and one timer serves the page. */
class Clock {
  private value = Date.now();
  private readonly listeners = new Set<() => void>();
  private timer: ReturnType<typeof setInterval> | undefined;
  private readonly everyMs: number;

  constructor(everyMs: number) {
    this.everyMs = everyMs;
  }

  subscribe = (listener: () => void): (() => void) => {
    if (this.listeners.size === 0) {
      this.value = Date.now();
      this.timer = setInterval(() => {
        this.value = Date.now();
        for (const tell of this.listeners) tell();
      }, this.everyMs);
    }
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size === 0) clearInterval(this.timer);
    };
  };

  get = (): number => {
    // Without listeners nobody ticks; a first reader must not see an old time.
    if (this.listeners.size === 0 && Date.now() - this.value > this.everyMs) this.value = Date.now();
    return this.value;
  };
}

const everySecond = new Clock(1_000);
const everyTenSeconds = new Clock(10_000);

/** The present time in ms, ticking every second or every ten. */
export function useNow(pace: "second" | "ten-seconds" = "ten-seconds"): number {
  const clock = pace === "second" ? everySecond : everyTenSeconds;
  return useSyncExternalStore(clock.subscribe, clock.get);
}
