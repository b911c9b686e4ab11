/** Puts the mock server in front of a dashboard in a real browser (`npm run dev:mock`) and lets its fleet live. */
import { MockServer } from "@/testing/mock-api/server";

const BEAT_MS = 2_000;

/** `?mock=signed-out`, `?mock=viewer`, `?mock=demo`, `?mock=down` choose a situation. */
export function installMockServer(): void {
  const server = new MockServer();
  const situation = new URLSearchParams(location.search).get("mock") ?? sessionStorage.getItem("mock") ?? "";
  sessionStorage.setItem("mock", situation);
  if (situation === "signed-out") server.world.isSignedIn = false;
  if (situation === "viewer") server.world.role = "viewer";
  if (situation === "demo") server.world.isDemo = true;
  const realFetch = globalThis.fetch;
  globalThis.fetch = (input, init) => (String(input instanceof Request ? input.url : input).includes("/api/v1/") ? server.fetch(input, init) : realFetch(input, init));
  const RealSocket = globalThis.WebSocket;
  globalThis.WebSocket = new Proxy(RealSocket, {
    construct: (target, [url, protocols]: [string, string?]) => (url.endsWith("/ws/live/") ? server.connect() : new target(url, protocols)),
  });
  if (situation === "down") server.isDown = true;
  setInterval(() => {
    for (const device of server.world.devices.filter((entry) => entry.is_online).slice(0, 12)) {
      const now = new Date().toISOString();
      device.last_seen_at = now;
      server.emit({ topic: "devices", kind: "device.changed", id: device.id, data: { state: device.state, is_online: true, last_seen_at: now } });
      const health = { ...device.health, cpu_ratio: 0.3 + Math.random() * 0.15, temperature_c: 58 + Math.random() * 3 };
      device.health = health;
      device.health_at = now;
      server.emit({ topic: `device:${device.id}`, kind: "device.health", id: device.id, data: { health, health_at: now } });
    }
  }, BEAT_MS);
}
