import { Menu, Tooltip, useMantineColorScheme } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useRouterState } from "@tanstack/react-router";

import { Connection } from "@/app/connection";
import styles from "@/app/frame.module.css";
import { openPalette } from "@/app/palette-store";
import { AppLink } from "@/components/ui/app-link";
import { Icon, type IconName } from "@/components/ui/icon";
import { api } from "@/lib/api/client";
import { keys } from "@/lib/api/keys";
import { overviewQuery } from "@/lib/api/queries/insights";
import type { Overview, Session } from "@/lib/api/types";
import { formatCount } from "@/lib/format/number";
import { paths } from "@/lib/path-builder";

interface Entry {
  to: string;
  title: string;
  icon: IconName;
  count?: (overview: Overview) => number;
  isAlarm?: boolean;
}

const MAIN: readonly Entry[] = [
  { to: paths.overview(), title: "Overview", icon: "overview" },
  { to: paths.devices(), title: "Devices", icon: "devices", count: ({ devices }) => devices.total },
  { to: paths.models(), title: "Models", icon: "models", count: ({ counts }) => counts.models },
  { to: paths.rollouts(), title: "Rollouts", icon: "rollouts", count: ({ counts }) => counts.rollouts_active },
  { to: paths.drift(), title: "Drift", icon: "drift", count: ({ counts }) => counts.drift_alerting },
  { to: paths.alerts(), title: "Alerts", icon: "alerts", count: ({ counts }) => counts.alerts_critical, isAlarm: true },
];

const REST: readonly Entry[] = [
  { to: paths.jobs(), title: "Jobs", icon: "jobs", count: ({ counts }) => counts.jobs_active },
  { to: paths.audit(), title: "Audit", icon: "audit" },
  { to: paths.settings(), title: "Settings", icon: "settings" },
];

const isMac = /Mac|iPhone|iPad/.test(navigator.userAgent);

function NavLink({ entry, overview, path }: { entry: Entry; overview: Overview | undefined; path: string }) {
  const isVersionOfModels = entry.title === "Models" && path.startsWith("/versions/");
  const isCurrent = entry.to === "/" ? path === "/" : path === entry.to || path.startsWith(`${entry.to}/`) || isVersionOfModels;
  const count = overview === undefined ? undefined : entry.count?.(overview);
  const isHot = entry.isAlarm === true && (count ?? 0) > 0;
  return (
    <Tooltip label={entry.title} position="right">
      <AppLink to={entry.to} className={styles.link} aria-current={isCurrent ? "page" : undefined} aria-label={entry.title}>
        <Icon name={entry.icon} />
        <span>{entry.title}</span>
        {count !== undefined && (isHot || (count > 0 && entry.isAlarm !== true)) && (
          <span className={`${styles.count ?? ""} ${isHot ? (styles.hot ?? "") : ""}`}>
            {isHot && <Icon name="failed" size={9} />}
            {formatCount(count)}
          </span>
        )}
      </AppLink>
    </Tooltip>
  );
}

function PersonMenu({ session }: { session: Session }) {
  const client = useQueryClient();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const signOut = useMutation({
    mutationFn: () => api.delete("session/"),
    onSuccess: () => {
      // First the form, then the data: whoever signs in next must not see what was read before.
      client.setQueryData(keys.session, null);
      client.removeQueries({ predicate: (query) => query.queryKey[0] !== keys.session[0] });
    },
  });
  const schemes = [
    { value: "auto", title: "As the system" },
    { value: "light", title: "Light" },
    { value: "dark", title: "Dark" },
  ] as const;
  return (
    <Menu position="right-end" width={220}>
      <Menu.Target>
        <button type="button" className={styles.person} aria-label={`${session.user.name || session.user.username}: theme and sign-out`}>
          <Icon name="person" />
          <span className="clip">{session.user.name || session.user.username}</span>
        </button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {session.user.username}, {session.role} of {session.organization.name}
        </Menu.Label>
        <Menu.Divider />
        <Menu.Label>Theme</Menu.Label>
        {schemes.map((scheme) => (
          <Menu.Item
            key={scheme.value}
            onClick={() => setColorScheme(scheme.value)}
            fw={scheme.value === colorScheme ? 500 : 400}
            aria-current={scheme.value === colorScheme ? "true" : undefined}
            leftSection={<Icon name={scheme.value === "light" ? "sun" : scheme.value === "dark" ? "moon" : "settings"} size={14} />}
          >
            {scheme.title}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Item onClick={() => signOut.mutate()}>Sign out</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

export function Navigation({ session }: { session: Session }) {
  const path = useRouterState({ select: (state) => state.location.pathname });
  const { data: overview } = useQuery(overviewQuery);
  return (
    <nav className={styles.side} aria-label="Main">
      <AppLink to={paths.overview()} className={styles.brand} aria-label={`Flotilla, ${session.organization.name}`}>
        <Icon name="logo" size={18} />
        <span>Flotilla</span>
        <small className="clip">{session.organization.name}</small>
      </AppLink>
      <button type="button" className={styles.find} onClick={openPalette} aria-label="Search or run a command">
        <Icon name="search" />
        <span>Search</span>
        <kbd>{isMac ? "⌘K" : "Ctrl K"}</kbd>
      </button>
      {MAIN.map((entry) => (
        <NavLink key={entry.to} entry={entry} overview={overview} path={path} />
      ))}
      <div className={styles.rule} />
      {REST.map((entry) => (
        <NavLink key={entry.to} entry={entry} overview={overview} path={path} />
      ))}
      <div className={styles.foot}>
        <PersonMenu session={session} />
        <Connection />
      </div>
    </nav>
  );
}
