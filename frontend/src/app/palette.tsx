import { useMantineColorScheme } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { Spotlight } from "@mantine/spotlight";
import { useQuery } from "@tanstack/react-query";
import { useRouter } from "@tanstack/react-router";
import { useState } from "react";

import { paletteStore } from "@/app/palette-store";
import { Icon, type IconName } from "@/components/ui/icon";
import { useRole } from "@/hooks/use-session";
import { api } from "@/lib/api/client";
import { createDenial } from "@/lib/api/capabilities";
import type { Device, Model, ModelVersion, Page, Rollout } from "@/lib/api/types";
import { sentence, words } from "@/lib/format/text";
import { paths } from "@/lib/path-builder";

interface Action {
  key: string;
  label: string;
  description?: string;
  icon: IconName;
  run: () => void;
}

interface Found {
  devices: Device[];
  versions: ModelVersion[];
  rollouts: Rollout[];
  models: Model[];
}

const FOUND = 6;

/** The list scrolls by keyboard too; Spotlight hands this on to its scroll area, though its types do not say so. */
const LIST = { viewportProps: { tabIndex: 0, role: "group", "aria-label": "What can be opened or run" } };

/** What matches the words: devices by the server's search; versions and rollouts among the newest. */
async function find(text: string, signal: AbortSignal): Promise<Found> {
  const fits = (...parts: string[]) => text.toLowerCase().split(/\s+/).every((word) => parts.join(" ").toLowerCase().includes(word));
  const [devices, versions, rollouts, models] = await Promise.all([
    api.get<Page<Device>>("devices/", { search: text, limit: FOUND }, signal),
    api.get<Page<ModelVersion>>("versions/", { limit: 100 }, signal),
    api.get<Page<Rollout>>("rollouts/", { limit: 100 }, signal),
    api.get<Page<Model>>("models/", { limit: 100 }, signal),
  ]);
  return {
    devices: devices.results,
    versions: versions.results.filter((version) => fits(version.model.name, version.version)).slice(0, FOUND),
    rollouts: rollouts.results.filter((rollout) => fits(rollout.name, rollout.model, rollout.version)).slice(0, FOUND),
    models: models.results.filter((model) => fits(model.name)).slice(0, FOUND),
  };
}

/** Go to, run a command, search: Ctrl K or Cmd K. */
export function Palette({ onHelp }: { onHelp: () => void }) {
  const router = useRouter();
  const role = useRole();
  const { setColorScheme } = useMantineColorScheme();
  const [query, setQuery] = useState("");
  const [text] = useDebouncedValue(query.trim(), 200);
  const found = useQuery({ queryKey: ["palette", text], queryFn: ({ signal }) => find(text, signal), enabled: text.length >= 2, staleTime: 10_000, retry: false });

  const goTo = (to: string) => () => router.history.push(to);
  const pages: Action[] = [
    { key: "overview", label: "Overview", icon: "overview", run: goTo(paths.overview()) },
    { key: "devices", label: "Devices", icon: "devices", run: goTo(paths.devices()) },
    { key: "models", label: "Models", icon: "models", run: goTo(paths.models()) },
    { key: "rollouts", label: "Rollouts", icon: "rollouts", run: goTo(paths.rollouts()) },
    { key: "drift", label: "Drift", icon: "drift", run: goTo(paths.drift()) },
    { key: "alerts", label: "Alerts", icon: "alerts", run: goTo(paths.alerts()) },
    { key: "jobs", label: "Jobs", icon: "jobs", run: goTo(paths.jobs()) },
    { key: "audit", label: "Audit", icon: "audit", run: goTo(paths.audit()) },
    { key: "settings", label: "Settings", icon: "settings", run: goTo(paths.settings()) },
  ];
  const commands: Action[] = [
    ...(createDenial("rollout", role) === null ? [{ key: "plan", label: "Plan rollout", icon: "plus" as const, run: goTo(paths.rolloutPlanner()) }] : []),
    ...(createDenial("version", role) === null ? [{ key: "publish", label: "Publish version", icon: "upload" as const, run: goTo(paths.publish()) }] : []),
    { key: "offline", label: "Devices that are offline", icon: "offline", run: goTo(paths.devices({ is_online: "false" })) },
    { key: "light", label: "Theme: light", icon: "sun", run: () => setColorScheme("light") },
    { key: "dark", label: "Theme: dark", icon: "moon", run: () => setColorScheme("dark") },
    { key: "auto", label: "Theme: as the system", icon: "settings", run: () => setColorScheme("auto") },
    { key: "keys", label: "Keyboard shortcuts", icon: "info", run: onHelp },
  ];
  const matches = (action: Action) => query.trim() === "" || action.label.toLowerCase().includes(query.trim().toLowerCase());
  const results: Action[] =
    text.length < 2 || found.data === undefined
      ? []
      : [
          ...found.data.devices.map((device): Action => ({ key: device.id, label: device.name, description: `${device.controller_id}, ${device.is_online ? "online" : "offline"}`, icon: "devices", run: goTo(paths.device(device.id)) })),
          ...found.data.models.map((model): Action => ({ key: model.id, label: model.name, description: "model", icon: "models", run: goTo(paths.models()) })),
          ...found.data.versions.map((version): Action => ({ key: version.id, label: `${version.model.name} ${version.version}`, description: version.state, icon: "models", run: goTo(paths.version(version.id)) })),
          ...found.data.rollouts.map((rollout): Action => ({ key: rollout.id, label: rollout.name, description: `${rollout.model} ${rollout.version}, ${sentence(words(rollout.state)).toLowerCase()}`, icon: "rollouts", run: goTo(paths.rollout(rollout.id)) })),
        ];
  const groups = [
    { label: "Found", actions: results },
    { label: "Go to", actions: pages.filter(matches) },
    { label: "Do", actions: commands.filter(matches) },
  ].filter((group) => group.actions.length > 0);

  return (
    <Spotlight.Root store={paletteStore} query={query} onQueryChange={setQuery} shortcut={["mod + K"]} clearQueryOnClose attributes={{ content: { "aria-label": "Search or run a command" } }}>
      <Spotlight.Search placeholder="Search devices, versions, rollouts; go to; run" leftSection={<Icon name="search" />} aria-label="Search or run a command" />
      <Spotlight.ActionsList mah={420} {...LIST}>
        {groups.map((group) => (
          <Spotlight.ActionsGroup key={group.label} label={group.label}>
            {group.actions.map((action) => (
              <Spotlight.Action key={action.key} label={action.label} onClick={action.run} leftSection={<Icon name={action.icon} />} {...(action.description === undefined ? {} : { description: action.description })} />
            ))}
          </Spotlight.ActionsGroup>
        ))}
        {groups.length === 0 && <Spotlight.Empty>{found.isFetching ? "Searching" : "Nothing found"}</Spotlight.Empty>}
      </Spotlight.ActionsList>
    </Spotlight.Root>
  );
}
