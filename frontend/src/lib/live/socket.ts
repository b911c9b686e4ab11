/**
 * The live socket of docs/protocol/live.md: one per tab. It reconnects with backoff, subscribes again, and says when what is
 * shown must be read anew (after every reconnect and every gap).
 */
export type LiveState = "connecting" | "live" | "reconnecting" | "offline" | "signed_out";

export interface Change {
  topic: string;
  kind: string;
  id: string;
  data: Record<string, unknown>;
}

export interface LiveStatus {
  state: LiveState;
  /** Milliseconds since 1970; when the last message came. */
  lastMessageAt: number | null;
  /** When the connection was lost, and when it is tried again. */
  lostAt: number | null;
  retryAt: number | null;
}

export interface LiveHandlers {
  onChanges: (changes: Change[]) => void;
  /** Changes were missed: what is on screen must be read again. */
  onMissed: () => void;
}

interface SocketLike {
  readyState: number;
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  send: (data: string) => void;
  close: (code?: number) => void;
}

export interface LiveOptions {
  connect?: (url: string) => SocketLike;
  now?: () => number;
  random?: () => number;
}

const OPEN = 1;
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 15_000;
/** The server beats every 5 s; three beats missed mean the connection is dead, whatever the browser believes. */
const SILENCE_MS = 16_000;
/** A connection that held this long was a good one: the next loss is tried again at once. */
const GOOD_AFTER_MS = 5_000;
const CLOSED_SIGNED_OUT = 4401;
const CLOSED_ORIGIN = 4403;

type ServerMessage =
  | { type: "hello" }
  | { type: "subscribed"; topic: string }
  | { type: "refused"; topic: string }
  | { type: "beat" }
  | { type: "gap" }
  | { type: "frame"; changes: Change[] };

export class LiveSocket {
  private readonly url: string;
  private readonly handlers: LiveHandlers;
  private readonly connect: (url: string) => SocketLike;
  private readonly now: () => number;
  private readonly random: () => number;
  private readonly topics = new Map<string, number>();
  private readonly listeners = new Set<() => void>();
  private socket: SocketLike | null = null;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private silenceTimer: ReturnType<typeof setTimeout> | undefined;
  private attempt = 0;
  private hasBeenLive = false;
  private liveSince: number | null = null;
  private hearsBeats = false;
  private status: LiveStatus = { state: "connecting", lastMessageAt: null, lostAt: null, retryAt: null };

  constructor(url: string, handlers: LiveHandlers, options: LiveOptions = {}) {
    this.url = url;
    this.handlers = handlers;
    this.connect = options.connect ?? ((address) => new WebSocket(address));
    this.now = options.now ?? Date.now;
    this.random = options.random ?? Math.random;
  }

  start(): void {
    if (this.socket === null) this.open();
    globalThis.addEventListener("online", this.retryNow);
  }

  stop(): void {
    globalThis.removeEventListener("online", this.retryNow);
    clearTimeout(this.retryTimer);
    clearTimeout(this.silenceTimer);
    const socket = this.socket;
    this.socket = null;
    if (socket !== null) {
      socket.onclose = null;
      socket.onmessage = null;
      socket.onopen = null;
      socket.close(1000);
    }
  }

  /** Subscribes until the returned function is called. Several screens may want the same topic. */
  subscribe(topics: readonly string[]): () => void {
    const fresh = topics.filter((topic) => !this.topics.has(topic));
    for (const topic of topics) this.topics.set(topic, (this.topics.get(topic) ?? 0) + 1);
    if (fresh.length > 0) this.send({ type: "subscribe", topics: fresh });
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const gone: string[] = [];
      for (const topic of topics) {
        const holders = (this.topics.get(topic) ?? 1) - 1;
        if (holders > 0) this.topics.set(topic, holders);
        else if (this.topics.delete(topic)) gone.push(topic);
      }
      if (gone.length > 0) this.send({ type: "unsubscribe", topics: gone });
    };
  }

  getStatus = (): LiveStatus => this.status;

  onStatus = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  private readonly retryNow = (): void => {
    if (this.socket !== null || this.status.state === "signed_out") return;
    clearTimeout(this.retryTimer);
    this.open();
  };

  private setStatus(change: Partial<LiveStatus>): void {
    this.status = { ...this.status, ...change };
    for (const listener of this.listeners) listener();
  }

  private send(message: object): void {
    if (this.socket?.readyState === OPEN) this.socket.send(JSON.stringify(message));
  }

  private open(): void {
    const socket = this.connect(this.url);
    this.socket = socket;
    socket.onopen = () => {
      if (this.topics.size > 0) this.send({ type: "subscribe", topics: [...this.topics.keys()] });
    };
    socket.onmessage = (event) => this.receive(JSON.parse(String(event.data)) as ServerMessage);
    socket.onclose = (event) => this.lost(event.code);
  }

  private receive(message: ServerMessage): void {
    const at = this.now();
    if (message.type === "beat") this.hearsBeats = true;
    this.watchSilence();
    if (message.type === "hello") {
      this.liveSince = at;
      const isReconnect = this.hasBeenLive;
      this.hasBeenLive = true;
      this.setStatus({ state: "live", lastMessageAt: at, lostAt: null, retryAt: null });
      if (isReconnect) this.handlers.onMissed();
      return;
    }
    this.setStatus({ lastMessageAt: at });
    if (message.type === "gap") this.handlers.onMissed();
    else if (message.type === "frame") this.handlers.onChanges(message.changes);
  }

  private watchSilence(): void {
    if (!this.hearsBeats) return;
    clearTimeout(this.silenceTimer);
    this.silenceTimer = setTimeout(() => {
      const socket = this.socket;
      if (socket === null) return;
      socket.onclose = null;
      socket.close();
      this.lost(1006);
    }, SILENCE_MS);
  }

  private lost(code: number): void {
    clearTimeout(this.silenceTimer);
    this.socket = null;
    if (this.liveSince !== null && this.now() - this.liveSince >= GOOD_AFTER_MS) this.attempt = 0;
    this.liveSince = null;
    const lostAt = this.status.lostAt ?? this.now();
    if (code === CLOSED_SIGNED_OUT || code === CLOSED_ORIGIN) {
      this.setStatus({ state: code === CLOSED_SIGNED_OUT ? "signed_out" : "offline", lostAt, retryAt: null });
      if (code === CLOSED_SIGNED_OUT) this.handlers.onMissed();
      return;
    }
    const longest = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.attempt);
    // Half of the delay is drawn by lot, so that a thousand browsers do not come back in one instant.
    const delay = longest / 2 + (longest / 2) * this.random();
    this.attempt += 1;
    this.setStatus({ state: this.attempt > 4 ? "offline" : "reconnecting", lostAt, retryAt: this.now() + delay });
    this.retryTimer = setTimeout(() => this.open(), delay);
  }
}
