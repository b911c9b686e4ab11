import { useQuery } from "@tanstack/react-query";
import { Outlet } from "@tanstack/react-router";
import { useState } from "react";

import styles from "@/app/frame.module.css";
import { Navigation } from "@/app/navigation";
import { Palette } from "@/app/palette";
import { Shortcuts } from "@/app/shortcuts";
import { LoadError } from "@/components/ui/load-error";
import { Skeleton } from "@/components/ui/loading";
import { LoginPage } from "@/features/session/login-page";
import { TourPanel } from "@/features/tour/tour-panel";
import { sessionQuery } from "@/lib/api/queries/session";
import { LiveProvider, useLiveTopics } from "@/lib/live/live-context";

/** Counts in the navigation and the palette's search are always on screen, so their topics always are. */
function AlwaysSubscribed() {
  useLiveTopics("devices", "rollouts", "alerts", "jobs", "models", "drift");
  return null;
}

/** Everything around a screen. Without a session: the sign-in form, at whatever address was asked for. */
export function Frame() {
  const session = useQuery(sessionQuery);
  const [isHelpOpen, setIsHelpOpen] = useState(false);
  if (session.data === undefined) {
    return (
      <main className={styles.main}>
        {session.error === null ? <Skeleton rows={12} /> : <LoadError what="The session" error={session.error} onRetry={() => void session.refetch()} />}
      </main>
    );
  }
  if (session.data === null) return <LoginPage />;
  return (
    <LiveProvider key={session.data.user.id}>
      <AlwaysSubscribed />
      <div className={styles.app}>
        <a className={styles.skip} href="#content">
          Skip to content
        </a>
        <Navigation session={session.data} />
        <main className={styles.main} id="content">
          <Outlet />
          <div id="overlays" />
        </main>
      </div>
      {session.data.is_demo && <TourPanel />}
      <Palette onHelp={() => setIsHelpOpen(true)} />
      <Shortcuts isHelpOpen={isHelpOpen} setIsHelpOpen={setIsHelpOpen} />
    </LiveProvider>
  );
}
