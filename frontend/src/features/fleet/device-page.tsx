import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useState } from "react";

import { DeviceContact } from "@/components/device-contact";
import { Digest, evidenceText } from "@/components/evidence";
import { Siblings } from "@/components/siblings";
import { Age } from "@/components/ui/age";
import { AppLink } from "@/components/ui/app-link";
import { Button } from "@/components/ui/button";
import { type Column, DataTable, More } from "@/components/ui/data-table";
import { DeedDialog } from "@/components/ui/deed-dialog";
import { Empty } from "@/components/ui/empty";
import { EventLog } from "@/components/ui/event-log";
import { Icon } from "@/components/ui/icon";
import { Loaded } from "@/components/ui/loading";
import { MoreMenu } from "@/components/ui/more-menu";
import { PageHead } from "@/components/ui/page";
import { Section } from "@/components/ui/section";
import { Status } from "@/components/ui/status";
import { Tabs } from "@/components/ui/tabs";
import { DeviceHealth } from "@/features/fleet/device-health";
import { DeviceIdentity } from "@/features/fleet/device-identity";
import { DeviceWhy } from "@/features/fleet/device-why";
import styles from "@/features/fleet/device.module.css";
import { useSearchState } from "@/hooks/use-search-state";
import { useRole } from "@/hooks/use-session";
import { api } from "@/lib/api/client";
import { type DeviceAction, deviceDenial } from "@/lib/api/capabilities";
import { keys } from "@/lib/api/keys";
import { deviceEventsQuery, deviceQuery } from "@/lib/api/queries/fleet";
import { rowsOf } from "@/lib/api/queries/paged";
import { deploymentsQuery } from "@/lib/api/queries/rollouts";
import type { Deployment, Device, InstalledModel } from "@/lib/api/types";
import { sentence } from "@/lib/format/text";
import { useLiveTopics } from "@/lib/live/live-context";
import { paths } from "@/lib/path-builder";

const RANGES = [1, 12, 168] as const;

const DEEDS: Record<DeviceAction, { title: string; deed: string; text: string; isDangerous: boolean }> = {
  accept: { title: "Accept", deed: "Accept device", text: "It may poll, update and report again.", isDangerous: false },
  quarantine: { title: "Quarantine", deed: "Quarantine device", text: "It may still poll, but is given nothing, until a person accepts it again.", isDangerous: true },
  decommission: { title: "Decommission", deed: "Decommission device", text: "Its certificate is refused from now on and it leaves every plan. Its history stays. This cannot be undone.", isDangerous: true },
};

function Actions({ device }: { device: Device }) {
  const client = useQueryClient();
  const role = useRole();
  const [asked, setAsked] = useState<DeviceAction | null>(null);
  const act = useMutation({
    mutationFn: ({ action, reason }: { action: DeviceAction; reason: string }) => api.post<Device>(`devices/${device.id}/${action}/`, { reason }),
    onSuccess: () => client.invalidateQueries({ queryKey: keys.devices.all }),
  });
  const first: DeviceAction = device.state === "accepted" ? "quarantine" : "accept";
  return (
    <>
      <Button denial={deviceDenial(first, device, role)} onClick={() => setAsked(first)} look={first === "quarantine" ? "danger" : "default"}>
        {DEEDS[first].title}…
      </Button>
      <MoreMenu items={(["accept", "quarantine", "decommission"] as const).map((action) => ({ key: action, label: `${DEEDS[action].title}…`, denial: deviceDenial(action, device, role), onSelect: () => setAsked(action) }))} />
      {asked !== null && (
        <DeedDialog title={`${DEEDS[asked].title} ${device.name}?`} deed={DEEDS[asked].deed} isDangerous={DEEDS[asked].isDangerous} reason={asked === "accept" ? "optional" : "required"} onClose={() => setAsked(null)} onConfirm={(reason) => act.mutateAsync({ action: asked, reason })}>
          {DEEDS[asked].text}
        </DeedDialog>
      )}
    </>
  );
}

const DEPLOYMENTS: readonly Column<Deployment>[] = [
  {
    key: "version",
    head: "Version",
    cell: (deployment) => (
      <AppLink to={paths.rollout(deployment.rollout.id)} data-row>
        {deployment.rollout.model} {deployment.rollout.version}
      </AppLink>
    ),
  },
  { key: "wave", head: "Wave", cell: (deployment) => <span className="t2">{deployment.wave}</span>, isNumber: true, priority: "medium" },
  { key: "state", head: "State", cell: (deployment) => <Status thing="deployment" state={deployment.state} /> },
  { key: "evidence", head: "Evidence or reason", cell: (deployment) => <span className="s12">{evidenceText(deployment)}</span>, priority: "medium", isProse: true },
  { key: "since", head: "Since", cell: (deployment) => <span className="t2"><Age at={deployment.state_at} /></span>, isNumber: true },
];

const INSTALLED: readonly Column<InstalledModel>[] = [
  { key: "model", head: "Runs", cell: (model) => <b className="b5">{`${model.model} ${model.version}`}</b> },
  { key: "digest", head: "Digest", cell: (model) => <Digest digest={model.digest} />, priority: "medium" },
  {
    key: "evidence",
    head: "Known by",
    cell: (model) => (
      <span className="row" style={{ gap: 6 }}>
        <Icon name={model.evidence === "claimed" ? "claimed" : "proven"} size={14} />
        {sentence(model.evidence)}
      </span>
    ),
  },
  { key: "since", head: "Since", cell: (model) => <span className="t2"><Age at={model.since} /></span>, isNumber: true },
];

function Deployments({ device }: { device: Device }) {
  const list = useInfiniteQuery(deploymentsQuery({ device: device.id }));
  const deployments = rowsOf(list.data);
  return (
    <Section title="Deployments" meta="newest first">
      <div className="stack">
      {device.installed.length > 0 && <DataTable label="Installed models" columns={INSTALLED} rows={device.installed} rowKey={(model) => model.model} />}
      <Loaded query={list} what="The deployments" rows={3}>
        {() =>
          deployments.length === 0 ? (
            <Empty title="No rollout has reached this device yet.">A rollout whose selector matches it will show here.</Empty>
          ) : (
            <>
              <DataTable label="Deployments" columns={DEPLOYMENTS} rows={deployments} rowKey={(deployment) => deployment.id} />
              <More shown={deployments.length} query={list} />
            </>
          )
        }
      </Loaded>
      </div>
    </Section>
  );
}

function Timeline({ device, isFull }: { device: Device; isFull: boolean }) {
  const list = useInfiniteQuery(deviceEventsQuery(device.id));
  const events = rowsOf(list.data);
  const shown = isFull ? events : events.slice(0, 9);
  return (
    <Section
      title="Timeline"
      end={
        <>
          <span>UTC</span>
          {!isFull && (
            <AppLink className="link" to={paths.device(device.id, { tab: "timeline" })}>
              All
            </AppLink>
          )}
        </>
      }
    >
      <Loaded query={list} what="The timeline" rows={5}>
        {() => (
          <>
            {events.length === 0 && <Empty title="Nothing has happened yet." />}
            <EventLog isByDay label="What happened to this device" lines={shown.map((event) => ({ ...event, to: event.reference === null || event.reference.kind === "device" ? null : paths.object(event.reference.kind, event.reference.id) }))} />
            {isFull && <More shown={events.length} query={list} />}
          </>
        )}
      </Loaded>
    </Section>
  );
}

function contextOf(device: Device) {
  const runs = device.installed.map((model) => `${model.model} ${model.version}`).join(" and ");
  return (
    <>
      last contact <Age at={device.last_seen_at} isLive />
      {runs !== "" && ` · runs ${runs}`}
    </>
  );
}

export function DevicePage() {
  const { id = "" } = useParams({ strict: false });
  useLiveTopics(`device:${id}`);
  const query = useQuery(deviceQuery(id));
  const [search, setSearch] = useSearchState();
  const tab = search["tab"] === "timeline" ? "timeline" : "summary";
  const hours = RANGES.find((range) => String(range) === search["hours"]) ?? 12;
  const device = query.data;
  return (
    <>
      <PageHead
        title={device?.name ?? "Device"}
        crumbs={[{ text: "Devices", to: paths.devices() }, ...(device?.region == null ? [] : [{ text: device.region.name, to: paths.devices({ region: device.region.name }) }]), ...(device?.site == null ? [] : [{ text: device.site.name, to: paths.devices({ site: device.site.name }) }])]}
        status={
          device !== undefined && (
            <>
              <DeviceContact device={device} isPill />
              {device.state === "quarantined" && <Status thing="device" state="quarantined" isPill />}
              <Siblings listKey={keys.devices.lists} id={id} path={paths.device} />
            </>
          )
        }
        context={device !== undefined && contextOf(device)}
        actions={device !== undefined && <Actions device={device} />}
      />
      <Loaded query={query} what="This device" rows={10}>
        {(data) => (
          <>
            <Tabs
              label="Parts of this device"
              current={tab}
              tabs={[
                { key: "summary", title: "Summary", to: paths.device(id) },
                { key: "timeline", title: "Timeline", to: paths.device(id, { tab: "timeline" }) },
              ]}
            />
            {tab === "timeline" ? (
              <Timeline device={data} isFull />
            ) : (
              <div className={styles.layout}>
                <Section isBare title="Identity" className={styles.identity}>
                  <DeviceIdentity device={data} />
                </Section>
                <div className={styles.middle}>
                  <Section
                    isBare
                    className={styles.health}
                    title="Live health"
                    meta={
                      <>
                        newest <Age at={data.health_at} isLive />
                      </>
                    }
                    end={
                      <span className={styles.ranges}>
                        {RANGES.map((range) => (
                          <button key={range} type="button" className={`link ${range === hours ? "b5" : ""}`} aria-pressed={range === hours} onClick={() => setSearch({ hours: String(range) })}>
                            {range === 168 ? "7 d" : `${range} h`}
                          </button>
                        ))}
                      </span>
                    }
                  >
                    <DeviceHealth device={data} hours={hours} />
                  </Section>
                  <div className={styles.deployments}>
                    <Deployments device={data} />
                  </div>
                </div>
                <div className={styles.right}>
                  <DeviceWhy deviceId={id} />
                  <Timeline device={data} isFull={false} />
                </div>
              </div>
            )}
          </>
        )}
      </Loaded>
    </>
  );
}
