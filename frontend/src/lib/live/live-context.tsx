import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useSyncExternalStore } from "react";

import { LivePatcher } from "@/lib/live/patch";
import { LiveSocket, type LiveStatus } from "@/lib/live/socket";

const LiveContext = createContext<LiveSocket | null>(null);

const OFF: LiveStatus = { state: "connecting", lastMessageAt: null, lostAt: null, retryAt: null };

function liveUrl(): string {
  const { protocol, host } = globalThis.location;
  return `${protocol === "https:" ? "wss" : "ws"}://${host}/ws/live/`;
}

/** Keeps the one socket of this tab while somebody is signed in, and the query cache in step with it. */
export function LiveProvider({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const { socket, patcher } = useMemo(() => {
    const livePatcher = new LivePatcher(client);
    const liveSocket = new LiveSocket(liveUrl(), {
      onChanges: (changes) => livePatcher.apply(changes),
      onMissed: () => void client.invalidateQueries(),
    });
    return { socket: liveSocket, patcher: livePatcher };
  }, [client]);
  useEffect(() => {
    socket.start();
    return () => {
      socket.stop();
      patcher.stop();
    };
  }, [socket, patcher]);
  return <LiveContext value={socket}>{children}</LiveContext>;
}

/** Subscribes to `topics` while the calling screen is shown. */
export function useLiveTopics(...topics: string[]): void {
  const socket = useContext(LiveContext);
  const joined = topics.join(" ");
  useEffect(() => (socket === null || joined === "" ? undefined : socket.subscribe(joined.split(" "))), [socket, joined]);
}

const never = () => () => undefined;

/** State of the connection, for the foot of the navigation and for everything that shows an age. */
export function useLiveStatus(): LiveStatus {
  const socket = useContext(LiveContext);
  return useSyncExternalStore(socket?.onStatus ?? never, socket?.getStatus ?? (() => OFF));
}
