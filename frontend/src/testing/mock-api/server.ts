/** The mock server: the same fetch and WebSocket for development without a server, for unit and for browser tests. */
import type { Change } from "@/lib/live/socket";
import { handle, type MockRequest } from "@/testing/mock-api/handlers";
import { buildWorld, type World } from "@/testing/mock-api/world";

type Listener<E> = ((event: E) => void) | null;

/** One browser's end of the live socket. */
export class MockSocket {
  readyState = 0;
  onopen: Listener<Event> = null;
  onmessage: Listener<MessageEvent> = null;
  onclose: Listener<CloseEvent> = null;
  readonly topics = new Set<string>();
  private readonly server: MockServer;

  constructor(server: MockServer) {
    this.server = server;
    queueMicrotask(() => {
      if (this.readyState !== 0) return;
      if (server.isDown) {
        this.close(1006);
        return;
      }
      this.readyState = 1;
      this.onopen?.(new Event("open"));
      this.receive({ type: "hello", revision: 1 });
    });
  }

  send(data: string): void {
    const message = JSON.parse(data) as { type: string; topics: string[] };
    for (const topic of message.topics) {
      if (message.type === "unsubscribe") this.topics.delete(topic);
      else {
        this.topics.add(topic);
        this.receive({ type: "subscribed", topic });
      }
    }
  }

  close(code = 1000): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.server.sockets.delete(this);
    this.onclose?.(Object.assign(new Event("close"), { code }) as CloseEvent);
  }

  receive(message: object): void {
    if (this.readyState === 1) this.onmessage?.(new MessageEvent("message", { data: JSON.stringify(message) }));
  }
}

export class MockServer {
  readonly world: World;
  readonly sockets = new Set<MockSocket>();
  /** Every request, newest last: `GET /api/v1/devices/`. */
  readonly requests: string[] = [];
  /** While true the network is gone: requests fail and sockets cannot be opened. */
  isDown = false;

  constructor(now = Date.now()) {
    this.world = buildWorld(now);
  }

  readonly fetch = async (input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(input instanceof Request ? input.url : String(input), "http://localhost");
    const method = init.method ?? "GET";
    this.requests.push(`${method} ${url.pathname}${url.search}`);
    await Promise.resolve();
    init.signal?.throwIfAborted();
    if (this.isDown) throw new TypeError("the network is down");
    const body = typeof init.body === "string" ? (JSON.parse(init.body) as unknown) : init.body;
    const request: MockRequest = { method, path: url.pathname, query: url.searchParams, headers: new Headers(init.headers), body };
    const answer = handle(this.world, request);
    // A copy, as over a wire: what the cache holds must not change because the world does.
    const text = answer.body === undefined ? null : JSON.stringify(answer.body);
    return new Response(text, { status: answer.status, headers: { "Content-Type": "application/json", ...answer.headers } });
  };

  readonly connect = (): MockSocket => {
    const socket = new MockSocket(this);
    this.sockets.add(socket);
    return socket;
  };

  /** Sends changes to every browser that subscribed to their topics. */
  emit(...changes: Change[]): void {
    for (const socket of this.sockets) {
      const mine = changes.filter((change) => socket.topics.has(change.topic));
      if (mine.length > 0) socket.receive({ type: "frame", at: new Date().toISOString(), changes: mine });
    }
  }

  gap(): void {
    for (const socket of this.sockets) socket.receive({ type: "gap" });
  }

  dropSockets(code = 1006): void {
    for (const socket of [...this.sockets]) socket.close(code);
  }
}
