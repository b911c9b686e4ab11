import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { type Change, LiveSocket } from "@/lib/live/socket";
import { MockServer } from "@/testing/mock-api/server";

describe("the live socket", () => {
  let server: MockServer;
  let changes: Change[];
  let missed: number;
  let socket: LiveSocket;

  beforeEach(async () => {
    vi.useFakeTimers();
    server = new MockServer();
    changes = [];
    missed = 0;
    socket = new LiveSocket("ws://test/ws/live/", { onChanges: (batch) => changes.push(...batch), onMissed: () => (missed += 1) }, { connect: server.connect, random: () => 1 });
    socket.start();
    await vi.advanceTimersByTimeAsync(0);
  });

  afterEach(() => {
    socket.stop();
    vi.useRealTimers();
  });

  const topics = () => [...server.sockets].flatMap((open) => [...open.topics]);
  const change: Change = { topic: "devices", kind: "device.changed", id: "d1", data: { is_online: false } };

  it("is live after hello and hands over the changes of its topics", () => {
    socket.subscribe(["devices"]);
    server.emit(change, { ...change, topic: "jobs" });
    expect(socket.getStatus().state).toBe("live");
    expect(changes).toEqual([change]);
  });

  it("asks once for a topic two screens want, and gives it back after the second", () => {
    const first = socket.subscribe(["devices"]);
    const second = socket.subscribe(["devices"]);
    first();
    first();
    expect(topics()).toEqual(["devices"]);
    second();
    expect(topics()).toEqual([]);
  });

  it("comes back by itself, subscribes again and has what is shown read anew", async () => {
    socket.subscribe(["devices", "rollout:1"]);
    server.dropSockets();
    expect(socket.getStatus().state).toBe("reconnecting");
    await vi.advanceTimersByTimeAsync(500);
    expect(socket.getStatus().state).toBe("live");
    expect(topics()).toEqual(["devices", "rollout:1"]);
    expect(missed).toBe(1);
  });

  it("waits longer after each failure, says offline, and returns when the network does", async () => {
    server.isDown = true;
    server.dropSockets();
    await vi.advanceTimersByTimeAsync(20_000);
    expect(socket.getStatus().state).toBe("offline");
    server.isDown = false;
    globalThis.dispatchEvent(new Event("online"));
    await vi.advanceTimersByTimeAsync(0);
    expect(socket.getStatus().state).toBe("live");
  });

  it("has everything read anew after a gap", () => {
    server.gap();
    expect(missed).toBe(1);
  });

  it("takes a silent connection for dead once it knows that the server beats", async () => {
    for (const open of server.sockets) open.receive({ type: "beat" });
    await vi.advanceTimersByTimeAsync(15_000);
    expect(socket.getStatus().state).toBe("live");
    await vi.advanceTimersByTimeAsync(2_000);
    expect(socket.getStatus().state).not.toBe("connecting");
    expect(missed + (socket.getStatus().state === "reconnecting" ? 1 : 0)).toBeGreaterThan(0);
  });

  it("does not come back after it was signed out", async () => {
    server.dropSockets(4401);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(socket.getStatus().state).toBe("signed_out");
    expect(server.sockets.size).toBe(0);
  });
});
