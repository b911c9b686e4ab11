import { useQuery } from "@tanstack/react-query";

import { RolloutStatus } from "@/components/rollout-status";
import { Age } from "@/components/ui/age";
import { AppLink } from "@/components/ui/app-link";
import { LinkButton } from "@/components/ui/button";
import { Empty } from "@/components/ui/empty";
import { Figure, FigureStrip } from "@/components/ui/figure";
import { Icon } from "@/components/ui/icon";
import { Loaded } from "@/components/ui/loading";
import { PageHead } from "@/components/ui/page";
import { Section } from "@/components/ui/section";
import { Swatch, WaveBar } from "@/components/ui/state-bar";
import { Status } from "@/components/ui/status";
import styles from "@/features/overview/overview.module.css";
import { groupPlaces } from "@/features/overview/projection";
import { RegionsTable } from "@/features/overview/regions-table";
import { type MapSite, SiteMap } from "@/features/overview/site-map";
import { useNow } from "@/hooks/use-now";
import { useRole } from "@/hooks/use-session";
import { createDenial } from "@/lib/api/capabilities";
import { overviewQuery } from "@/lib/api/queries/insights";
import type { Attention, DeviceState, Overview, Rollout } from "@/lib/api/types";
import { formatCount, formatMeasure, formatPercentNumber, plural } from "@/lib/format/number";
import { formatAge, formatMoment } from "@/lib/format/time";
import { paths } from "@/lib/path-builder";
import { rolloutSums, versionStep } from "@/lib/rollout-sums";

const percent = (ratio: number | null) => (ratio === null ? null : formatPercentNumber(ratio));

function Figures({ overview }: { overview: Overview }) {
  const { figures, figure_series: series, devices } = overview;
  const rest = figures.target_count - figures.proven_count - figures.claimed_count;
  return (
    <FigureStrip count={5}>
      <Figure label="Online" value={percent(figures.online_ratio)} unit="%" sub={`${formatCount(devices.online)} of ${formatCount(devices.online + devices.offline)}`} to={paths.devices({ is_online: "false" })} series={series.online_ratio} limit={1} />
      <Figure label="Proven on target" value={percent(figures.proven_ratio)} unit="%" sub={`${formatCount(figures.proven_count)} of ${formatCount(figures.target_count)} · ${figures.claimed_count} claimed, ${formatCount(Math.max(0, rest))} other`} to={paths.rollouts()} series={series.proven_ratio} limit={1} />
      <Figure label="Inferences" value={figures.inference_rate_s === null ? null : formatMeasure(figures.inference_rate_s)} unit="/s" sub="over the whole fleet" to={paths.devices()} series={series.inference_rate_s} />
      <Figure label="Error rate" value={percent(figures.error_ratio)} unit="%" sub="of all inferences" to={paths.alerts()} series={series.error_ratio} limit={0.01} />
      <Figure label="Latency p95" value={figures.latency_ms_p95 === null ? null : formatMeasure(figures.latency_ms_p95)} unit="ms" sub="on the device" to={paths.devices()} series={series.latency_ms_p95} />
    </FigureStrip>
  );
}

function AttentionItem({ item, now }: { item: Attention; now: number }) {
  const icon = item.kind === "rollout" ? "halt" : item.severity === "critical" ? "failed" : item.severity === "warning" ? "warning" : "info";
  const to = item.kind === "rollout" ? paths.rollout(item.id) : paths.alerts({ alert: item.id });
  return (
    <li className={styles.attention}>
      <Icon name={icon} label={item.kind === "rollout" ? "rollout" : item.severity} />
      <div>
        <h3>
          <AppLink to={to} data-row>
            {item.title}
          </AppLink>
        </h3>
        <p>{item.text}</p>
        {item.before !== null && <p>Before it: {item.before}</p>}
      </div>
      <div className={styles.when}>
        <b>{formatAge(item.since, now)}</b>since {formatMoment(item.since, now)}
      </div>
    </li>
  );
}

function Waiting({ overview }: { overview: Overview }) {
  const { waiting } = overview;
  const items = [
    { count: waiting.approvals, text: waiting.approvals === 1 ? "approval" : "approvals", to: paths.models() },
    { count: waiting.decisions, text: waiting.decisions === 1 ? "rollout to decide" : "rollouts to decide", to: paths.rollouts({ state: "needs_decision" }) },
    { count: waiting.devices_pending, text: "to accept", to: paths.devices({ state: "pending" }) },
    { count: waiting.devices_quarantined, text: "quarantined", to: paths.devices({ state: "quarantined" }) },
    { count: waiting.certificates_expiring, text: waiting.certificates_expiring === 1 ? "certificate expires in 7 d" : "certificates expire in 7 d", to: paths.devices() },
  ].filter((item) => item.count > 0);
  return (
    <div className={styles.waiting}>
      <span>Waiting for a person:</span>
      {items.length === 0 && <span className="t3">nothing</span>}
      {items.map((item) => (
        <AppLink key={item.text} to={item.to}>
          <b>{formatCount(item.count)}</b> {item.text}
        </AppLink>
      ))}
    </div>
  );
}

function InFlight({ rollout, now }: { rollout: Rollout; now: number }) {
  const sums = rolloutSums(rollout);
  const isGoingBack = rollout.state === "rolling_back" || rollout.state === "halted";
  return (
    <li className={styles.rollout}>
      <div className={styles.line}>
        <AppLink to={paths.rollout(rollout.id)} data-row>
          <b className="b6">{rollout.model}</b> {versionStep(rollout)}
        </AppLink>
        <RolloutStatus rollout={rollout} />
      </div>
      <WaveBar waves={rollout.waves} />
      <div className={styles.under}>
        <span>
          {isGoingBack ? (
            <>
              <b>{formatCount(sums.rolledBack)}</b> of {formatCount(sums.exposed)} back · {formatCount(sums.cancelled)} never received it
            </>
          ) : (
            <>
              <b>{formatCount(sums.proven)}</b> of {formatCount(sums.total)} proven · {formatCount(sums.claimed)} claimed
            </>
          )}
        </span>
        {rollout.next?.at !== null && rollout.next?.at !== undefined && (
          <span>
            next <b>{formatMoment(rollout.next.at, now)}</b>
          </span>
        )}
      </div>
    </li>
  );
}

const STATES: readonly DeviceState[] = ["pending", "quarantined", "rejected", "decommissioned"];

function Sites({ overview }: { overview: Overview }) {
  const severity = new Map(overview.regions.flatMap((region) => region.sites.map((site) => [site.site, site.severity])));
  const sites: MapSite[] = overview.devices.by_site.flatMap((site) =>
    site.site === null || site.latitude_deg === null || site.longitude_deg === null
      ? []
      : [{ name: site.site, region: site.region ?? "", latitude: site.latitude_deg, longitude: site.longitude_deg, weight: site.total, online: site.online, severity: severity.get(site.site) ?? null }],
  );
  const groups = groupPlaces(sites);
  const caption = (group: readonly MapSite[]) => `${[...new Set(group.map((site) => site.region))].join(", ")} · ${plural(group.reduce((sum, site) => sum + site.weight, 0), "device")}`;
  const [main, ...insets] = groups;
  const { devices } = overview;
  return (
    <Section title="Health by site" end={<AppLink className="link" to={paths.devices()}>All devices</AppLink>}>
      <div className={styles.maps}>
        {main === undefined ? <Empty title="No site has a place yet.">Give sites a latitude and longitude to see them here.</Empty> : <SiteMap sites={main} caption={caption(main)} ratio={0.93} />}
        <div className={styles.side}>
          {insets.slice(0, 2).map((group) => (
            <SiteMap key={group[0]?.name} sites={group} caption={caption(group)} ratio={1.75} />
          ))}
          <div>
            <h3 className="b6" style={{ marginBottom: 4, fontSize: 13 }}>
              Devices
            </h3>
            <div className={styles.states}>
              <AppLink to={paths.devices({ is_online: "true" })}>
                <Status thing="contact" state="online" />
              </AppLink>
              <span>{formatCount(devices.online)}</span>
              <AppLink to={paths.devices({ is_online: "false" })}>
                <Status thing="contact" state={devices.offline > 0 ? "offline-alert" : "offline"} />
              </AppLink>
              <span>{formatCount(devices.offline)}</span>
              {STATES.filter((state) => state === "pending" || state === "quarantined" || (devices.by_state[state] ?? 0) > 0).map((state) => [
                <AppLink key={state} to={paths.devices({ state })}>
                  <span className={(devices.by_state[state] ?? 0) === 0 ? styles.zero : undefined}>
                    <Status thing="device" state={state} />
                  </span>
                </AppLink>,
                <span key={`${state}-count`}>{formatCount(devices.by_state[state] ?? 0)}</span>,
              ])}
            </div>
          </div>
          <div className={styles.legend} aria-hidden>
            <i />
            site, area by devices
            <Icon name="failed" size={14} />
            critical alert or no contact
            <Icon name="warning" size={14} />
            warning
          </div>
        </div>
      </div>
    </Section>
  );
}

export function OverviewPage() {
  const query = useQuery(overviewQuery);
  const role = useRole();
  const now = useNow();
  const overview = query.data;
  const open = overview?.attention.length ?? 0;
  const siteCount = overview?.devices.by_site.filter((site) => site.site !== null).length ?? 0;
  const title = overview === undefined ? "Overview" : open === 0 ? "Nothing needs attention" : open === 1 ? "1 thing needs attention" : `${open} things need attention`;
  return (
    <>
      <PageHead
        title={title}
        context={overview !== undefined && `${plural(overview.devices.total, "device")} at ${plural(siteCount, "site")}. ${overview.counts.alerts_open === 0 ? "No alert is open." : `${plural(overview.counts.alerts_open, "alert")} open.`}`}
        actions={
          <LinkButton to={paths.rolloutPlanner()} look="primary" icon="plus" denial={createDenial("rollout", role)}>
            Plan rollout
          </LinkButton>
        }
      />
      <Loaded query={query} what="The overview" rows={12}>
        {(data) => (
          <>
            <Figures overview={data} />
            <div className={`cols ${styles.two ?? ""}`}>
              <Section title="Needs attention" meta={open > 0 ? "worst first" : undefined} end={<AppLink className="link" to={paths.alerts()}>All alerts</AppLink>}>
                <ul aria-live="polite">
                  {data.attention.map((item) => (
                    <AttentionItem key={`${item.kind}-${item.id}`} item={item} now={now} />
                  ))}
                </ul>
                {data.devices.total === 0 ? (
                  <Empty title="No devices yet.">
                    Enrol the first one: <AppLink className="link" to="/devices?enrol=open">make an enrolment token</AppLink> and paste its line on the device.
                  </Empty>
                ) : (
                  open === 0 && <Empty title="All is well.">No alert is open, no rollout is stopped.</Empty>
                )}
                <Waiting overview={data} />
              </Section>
              <Section
                title="Rollouts in flight"
                end={
                  <>
                    <span className={styles.key}>
                      <Swatch state="proven" /> proven
                    </span>
                    <span className={styles.key}>
                      <Swatch state="probation" /> claimed
                    </span>
                    <span className={styles.key}>
                      <Swatch state="rolled_back" /> rolled back
                    </span>
                  </>
                }
              >
                {data.rollouts_in_flight.length === 0 ? (
                  <Empty title="No rollout is in flight.">
                    <AppLink className="link" to={paths.rollouts()}>
                      See the finished ones
                    </AppLink>
                    , or plan one.
                  </Empty>
                ) : (
                  <ul>
                    {data.rollouts_in_flight.map((rollout) => (
                      <InFlight key={rollout.id} rollout={rollout} now={now} />
                    ))}
                  </ul>
                )}
              </Section>
            </div>
            <div className={`cols ${styles.halves ?? ""}`}>
              <Sites overview={data} />
              <Section title="Regions" meta="worst sites under each" end={<span>as of <Age at={new Date(query.dataUpdatedAt).toISOString()} isLive /></span>}>
                {data.regions.length === 0 ? <Empty title="No regions yet.">Sites belong to regions; both come with enrolment.</Empty> : <RegionsTable regions={data.regions} />}
              </Section>
            </div>
          </>
        )}
      </Loaded>
    </>
  );
}
