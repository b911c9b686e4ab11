import { TextInput } from "@mantine/core";
import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { type SyntheticEvent, useState } from "react";

import { DeviceContact } from "@/components/device-contact";
import { InstalledModels } from "@/components/installed-models";
import { Age } from "@/components/ui/age";
import { AppLink } from "@/components/ui/app-link";
import { Button } from "@/components/ui/button";
import { type Column, DataTable, More } from "@/components/ui/data-table";
import { Empty } from "@/components/ui/empty";
import { Loaded } from "@/components/ui/loading";
import { PageHead } from "@/components/ui/page";
import { Status } from "@/components/ui/status";
import { type Tab, Tabs } from "@/components/ui/tabs";
import { DeviceFacetList } from "@/features/fleet/device-facets";
import styles from "@/features/fleet/devices.module.css";
import { EnrolDialog } from "@/features/fleet/enrol-dialog";
import { EnrolmentTokens } from "@/features/fleet/enrolment-tokens";
import { readSelector, writeSelector } from "@/features/fleet/selector-line";
import { useSearchState } from "@/hooks/use-search-state";
import { useRole } from "@/hooks/use-session";
import { createDenial } from "@/lib/api/capabilities";
import { deviceFacetsQuery, devicesQuery } from "@/lib/api/queries/fleet";
import { rowsOf } from "@/lib/api/queries/paged";
import type { Device } from "@/lib/api/types";
import { formatCount, plural } from "@/lib/format/number";
import { type DeviceFilter, paths } from "@/lib/path-builder";

const FILTER_FIELDS = ["state", "is_online", "region", "site", "hardware_profile", "model", "version", "label", "search"] as const;

const COLUMNS: readonly Column<Device>[] = [
  {
    key: "name",
    head: "Name",
    cell: (device) => (
      <AppLink to={paths.device(device.id)} className={`mono ${device.state === "decommissioned" ? (styles.none ?? "") : ""}`} data-row>
        {device.name}
      </AppLink>
    ),
  },
  { key: "contact", head: "Contact", cell: (device) => <DeviceContact device={device} /> },
  { key: "state", head: "State", cell: (device) => <Status thing="device" state={device.state} />, priority: "wide" },
  { key: "site", head: "Site", cell: (device) => (device.site === null ? <span className="t3">–</span> : <span>{device.site.name} <span className="t3 s12">{device.region?.name}</span></span>), priority: "medium" },
  { key: "hardware", head: "Hardware", cell: (device) => <span className="t2">{device.hardware_profile.name}</span>, priority: "wide" },
  { key: "models", head: "Runs", cell: (device) => <InstalledModels installed={device.installed} />, isProse: true },
  { key: "seen", head: "Last contact", cell: (device) => <span className="t2"><Age at={device.last_seen_at} isLive /></span>, isNumber: true },
  { key: "agent", head: "Agent", cell: (device) => <span className="t2">{device.agent_version || "–"}</span>, isNumber: true, priority: "wide" },
];

function useFilter(): DeviceFilter {
  const [search] = useSearchState();
  return Object.fromEntries(FILTER_FIELDS.flatMap((field) => (search[field] === undefined ? [] : [[field, search[field]]])));
}

function SelectorLine({ filter, count, onChange }: { filter: DeviceFilter; count: number | undefined; onChange: (filter: DeviceFilter) => void }) {
  const written = writeSelector(filter);
  const [text, setText] = useState(written);
  const [shown, setShown] = useState(written);
  const [problem, setProblem] = useState<string | null>(null);
  // A facet or Back changed the filter from outside: the line follows.
  if (shown !== written) {
    setShown(written);
    setText(written);
    setProblem(null);
  }
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    const read = readSelector(text);
    setProblem(read.problem);
    if (read.problem === null) onChange(read.filter);
  };
  return (
    <form className={styles.selector} onSubmit={submit} role="search">
      <TextInput
        aria-label="Selector: fields joined by and, or words to search"
        placeholder="region = eu-north and is_online = false, or a name"
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        error={problem ?? undefined}
        data-list-search
        styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)", fontSize: 12 } }}
      />
      <span className="t3 s12 nowrap" role="status">
        {count !== undefined && plural(count, "device")}
      </span>
    </form>
  );
}

function NoMatch({ filter, onRemove }: { filter: DeviceFilter; onRemove: (field: string) => void }) {
  const last = FILTER_FIELDS.findLast((field) => filter[field] !== undefined);
  return (
    <Empty title="No device matches.">
      {last !== undefined && (
        <>
          Remove <code className="mono">{`${last} = ${filter[last] ?? ""}`}</code> to see more.{" "}
          <button type="button" className="link" onClick={() => onRemove(last)}>
            Remove
          </button>
        </>
      )}
    </Empty>
  );
}

export function DevicesPage() {
  const role = useRole();
  const filter = useFilter();
  const [search, setSearch] = useSearchState();
  const [areFacetsOpen, setAreFacetsOpen] = useState(false);
  const list = useInfiniteQuery({ ...devicesQuery(filter), placeholderData: keepPreviousData });
  const facets = useQuery({ ...deviceFacetsQuery(filter), placeholderData: keepPreviousData });
  const devices = rowsOf(list.data);
  const total = facets.data?.count;
  const isFiltered = Object.keys(filter).length > 0;
  const tab = search["tab"] === "tokens" ? "tokens" : isFiltered ? (writeSelector(filter) === "is_online = false" ? "offline" : writeSelector(filter) === "state = quarantined" ? "quarantined" : "selection") : "all";
  const tabs: Tab[] = [
    { key: "all", title: "All", to: paths.devices() },
    { key: "offline", title: "Offline", to: paths.devices({ is_online: "false" }) },
    { key: "quarantined", title: "Quarantined", to: paths.devices({ state: "quarantined" }) },
    ...(tab === "selection" ? [{ key: "selection", title: "This selection", to: paths.devices(filter), count: total }] : []),
    { key: "tokens", title: "Enrolment tokens", to: "/devices?tab=tokens" },
  ];
  const offline = facets.data?.is_online.find((entry) => String(entry.value) === "false")?.count;
  const title = total === undefined ? "Devices" : isFiltered ? `${plural(total, "device")} in this selection` : offline === undefined || offline === 0 ? plural(total, "device") : `${plural(total, "device")}, ${formatCount(offline)} offline`;
  const replaceFilter = (next: DeviceFilter) => setSearch({ ...Object.fromEntries(FILTER_FIELDS.map((field) => [field, next[field]])), tab: undefined });

  return (
    <>
      <PageHead
        title={title}
        actions={
          <Button look="primary" icon="plus" denial={createDenial("enrolment-token", role)} onClick={() => setSearch({ enrol: "open" })}>
            Enrol device
          </Button>
        }
      />
      <Tabs label="Saved views" tabs={tabs} current={tab} />
      {tab === "tokens" ? (
        <EnrolmentTokens />
      ) : (
        <>
          <div className={styles.bar}>
            <SelectorLine filter={filter} count={total} onChange={replaceFilter} />
            <span className={styles.fold}>
              <Button aria-expanded={areFacetsOpen} onClick={() => setAreFacetsOpen((is) => !is)}>
                Facets
              </Button>
            </span>
          </div>
          <div className={styles.layout}>
            <aside className={styles.facets} aria-label="Facets" data-folded={!areFacetsOpen}>
              {facets.data !== undefined && <DeviceFacetList facets={facets.data} filter={filter} onChange={(change) => setSearch({ ...change })} />}
            </aside>
            <div>
              <Loaded query={list} what="The list of devices" rows={12}>
                {() =>
                  devices.length === 0 ? (
                    isFiltered ? (
                      <NoMatch filter={filter} onRemove={(field) => setSearch({ [field]: undefined })} />
                    ) : (
                      <Empty title="No devices yet.">
                        Enrol the first one: make a token, then paste its line on the device.{" "}
                        <button type="button" className="link" onClick={() => setSearch({ enrol: "open" })}>
                          Enrol device
                        </button>
                      </Empty>
                    )
                  ) : (
                    <>
                      <DataTable label="Devices" columns={COLUMNS} rows={devices} rowKey={(device) => device.id} isStale={list.isPlaceholderData} />
                      <More shown={devices.length} total={total} query={list} />
                    </>
                  )
                }
              </Loaded>
            </div>
          </div>
        </>
      )}
      {search["enrol"] === "open" && <EnrolDialog onClose={() => setSearch({ enrol: undefined }, { replace: true })} />}
    </>
  );
}
