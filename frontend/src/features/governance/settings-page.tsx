import { Select, Switch, useMantineColorScheme } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

import { Age } from "@/components/ui/age";
import { DataTable } from "@/components/ui/data-table";
import { Empty } from "@/components/ui/empty";
import { Loaded } from "@/components/ui/loading";
import { PageHead } from "@/components/ui/page";
import { Section } from "@/components/ui/section";
import { Tabs } from "@/components/ui/tabs";
import { ApiTokens } from "@/features/governance/api-tokens";
import { useSearchState } from "@/hooks/use-search-state";
import { useSession } from "@/hooks/use-session";
import { peopleQuery } from "@/lib/api/queries/insights";
import type { Role } from "@/lib/api/types";
import { paths } from "@/lib/path-builder";
import { density, hasSingleKeys, setDensity, setSingleKeys } from "@/lib/preferences";

const MAY: Record<Role, string> = {
  viewer: "reads everything of the organization",
  operator: "also enrols devices, publishes versions, runs rollouts",
  administrator: "also approves, manages people and tokens",
};

function People() {
  const query = useQuery(peopleQuery);
  return (
    <Section isBare title="People" meta="and what each may do">
      <Loaded query={query} what="The list of people" rows={4}>
        {(people) =>
          people.length === 0 ? (
            <Empty title="Nobody yet." />
          ) : (
            <DataTable
              label="People"
              rows={people}
              rowKey={(person) => person.id}
              columns={[
                { key: "name", head: "Name", cell: (person) => person.name || person.username },
                { key: "username", head: "User name", cell: (person) => <span className="t2">{person.username}</span> },
                { key: "role", head: "Role", cell: (person) => person.role },
                { key: "may", head: "May", cell: (person) => <span className="t3 s12">{MAY[person.role]}</span>, priority: "medium" },
                { key: "joined", head: "Since", cell: (person) => <span className="t2"><Age at={person.joined_at} /></span>, isNumber: true },
              ]}
            />
          )
        }
      </Loaded>
    </Section>
  );
}

function Screen() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const [rows, setRows] = useState(density);
  const [areKeysOn, setAreKeysOn] = useState(hasSingleKeys);
  return (
    <Section isBare title="This screen" meta="kept in this browser">
      <div className="stack" style={{ maxWidth: 320 }}>
        <Select
          label="Theme"
          allowDeselect={false}
          data={[
            { value: "auto", label: "As the system" },
            { value: "light", label: "Light" },
            { value: "dark", label: "Dark" },
          ]}
          value={colorScheme}
          onChange={(value) => value !== null && setColorScheme(value)}
        />
        <Select
          label="Rows"
          allowDeselect={false}
          data={[
            { value: "auto", label: "By screen and pointer" },
            { value: "compact", label: "Compact" },
            { value: "relaxed", label: "Relaxed" },
          ]}
          value={rows}
          onChange={(value) => {
            if (value === null) return;
            setRows(value);
            setDensity(value);
          }}
        />
        <Switch
          label="Single letters act as shortcuts"
          description="? shows them all"
          checked={areKeysOn}
          onChange={(event) => {
            setAreKeysOn(event.currentTarget.checked);
            setSingleKeys(event.currentTarget.checked);
          }}
        />
      </div>
    </Section>
  );
}

export function SettingsPage() {
  const [search] = useSearchState();
  const session = useSession();
  const section = search["section"] === "tokens" || search["section"] === "people" ? search["section"] : "screen";
  return (
    <>
      <PageHead title="Settings" context={session !== null && `${session.organization.name}. You are ${session.user.name || session.user.username}, ${session.role}: ${MAY[session.role]}.`} />
      <Tabs
        label="Settings"
        current={section}
        tabs={[
          { key: "screen", title: "This screen", to: paths.settings() },
          { key: "tokens", title: "API tokens", to: paths.settings("tokens") },
          { key: "people", title: "People", to: paths.settings("people") },
        ]}
      />
      <div style={{ maxWidth: section === "screen" ? 640 : 960 }}>{section === "tokens" ? <ApiTokens /> : section === "people" ? <People /> : <Screen />}</div>
    </>
  );
}
