import { Menu } from "@mantine/core";
import { keepPreviousData, useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useState } from "react";

import { Age } from "@/components/ui/age";
import { AppLink } from "@/components/ui/app-link";
import { Button } from "@/components/ui/button";
import { annotations, grid, line, nearest, niceRange, timeAxis, tooltip, valueAxis } from "@/components/ui/chart-parts";
import { DataTable, More } from "@/components/ui/data-table";
import { DeedDialog } from "@/components/ui/deed-dialog";
import { Empty } from "@/components/ui/empty";
import { FigureRow } from "@/components/ui/figure";
import { Icon } from "@/components/ui/icon";
import { Loaded } from "@/components/ui/loading";
import { PageHead } from "@/components/ui/page";
import { Plot } from "@/components/ui/plot";
import { Status } from "@/components/ui/status";
import { statusOf } from "@/components/ui/status-table";
import { Tabs } from "@/components/ui/tabs";
import styles from "@/features/telemetry/drift.module.css";
import { useNow } from "@/hooks/use-now";
import { useSearchState } from "@/hooks/use-search-state";
import { useRole } from "@/hooks/use-session";
import { api } from "@/lib/api/client";
import { alertDenial } from "@/lib/api/capabilities";
import { keys } from "@/lib/api/keys";
import { rowsOf } from "@/lib/api/queries/paged";
import { alertRulesQuery, alertsQuery } from "@/lib/api/queries/telemetry";
import type { Alert } from "@/lib/api/types";
import { formatCount, formatMeasure, formatTick, NO_DATA, plural } from "@/lib/format/number";
import { formatAge, formatDuration, formatMoment } from "@/lib/format/time";
import { paths } from "@/lib/path-builder";
import type { ChartTokens } from "@/theme/chart-tokens";

const SILENCES = [
  { hours: 1, title: "1 hour" },
  { hours: 8, title: "8 hours" },
  { hours: 24, title: "1 day" },
  { hours: 168, title: "7 days" },
] as const;

function EvidencePlot({ alert }: { alert: Alert }) {
  const now = useNow();
  const { history = [], threshold } = alert.data;
  const option = useCallback(
    (tokens: ChartTokens) => {
      const times = history.map((entry) => new Date(entry.at).getTime());
      return {
        animation: false,
        grid: grid({ left: 40 }),
        xAxis: timeAxis(tokens),
        yAxis: valueAxis(tokens, { ...niceRange([...history.map((entry) => entry.value), threshold ?? 0], 0.1), format: formatTick }),
        tooltip: tooltip(tokens, (at) => [{ name: "Value", value: formatMeasure(history[nearest(times, at)]?.value) }]),
        series: [line(tokens, "current", history.map((entry, index) => [times[index] ?? 0, entry.value]), { hasEndDot: true }), annotations(tokens, { limits: threshold === undefined ? [] : [{ value: threshold, text: "alert", kind: "harm" }], marks: [{ at: new Date(alert.opened_at).getTime(), text: "opened", kind: "event" }], span: [times[0] ?? 0, times.at(-1) ?? 1] })],
      };
    },
    [history, threshold, alert.opened_at],
  );
  if (history.length < 2) return null;
  return <Plot label={`Evidence of ${alert.title}`} option={option} height={150} table={{ head: ["UTC", "Value"], rows: history.map((entry) => [formatMoment(entry.at, now), formatMeasure(entry.value)]) }} />;
}

function AlertActions({ alert }: { alert: Alert }) {
  const client = useQueryClient();
  const role = useRole();
  const [isResolving, setIsResolving] = useState(false);
  const refresh = () => Promise.all([client.invalidateQueries({ queryKey: keys.alerts.all }), client.invalidateQueries({ queryKey: keys.overview })]);
  const act = useMutation({ mutationFn: ({ action, body }: { action: string; body: object }) => api.post(`alerts/${alert.id}/${action}/`, body), onSettled: refresh });
  const silenceDenial = alertDenial("silence", alert, role);
  return (
    <div className="row" style={{ flexWrap: "wrap" }}>
      <Button icon="pass" denial={alertDenial("acknowledge", alert, role)} isBusy={act.isPending && act.variables.action === "acknowledge"} onClick={() => act.mutate({ action: "acknowledge", body: {} })}>
        Acknowledge
      </Button>
      <Menu disabled={silenceDenial !== null}>
        <Menu.Target>
          <Button icon="clock" denial={silenceDenial}>
            Silence…
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          {SILENCES.map(({ hours, title }) => (
            <Menu.Item key={hours} onClick={() => act.mutate({ action: "silence", body: { until: new Date(Date.now() + hours * 3_600_000).toISOString() } })}>
              for {title}
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
      <Button denial={alertDenial("resolve", alert, role)} onClick={() => setIsResolving(true)}>
        Resolve…
      </Button>
      {alert.subject.feature !== undefined && (
        <AppLink className="link" to={paths.drift({ ...(alert.subject.version_id === undefined ? {} : { version_id: alert.subject.version_id }), ...(alert.subject.region == null ? {} : { region: alert.subject.region }), feature: alert.subject.feature })}>
          Open in Drift
        </AppLink>
      )}
      {act.error !== null && (
        <span className="crit s12" role="alert">
          {act.error.message}
        </span>
      )}
      {isResolving && (
        <DeedDialog title={`Resolve "${alert.title}"?`} deed="Resolve alert" onClose={() => setIsResolving(false)} onConfirm={(reason) => act.mutateAsync({ action: "resolve", body: { reason } })}>
          It opens again by itself when its rule finds the same cause again.
        </DeedDialog>
      )}
    </div>
  );
}

function AlertRow({ alert, isOpen, onToggle }: { alert: Alert; isOpen: boolean; onToggle: () => void }) {
  const now = useNow();
  const { icon, word } = statusOf("severity", alert.severity);
  const isSilenced = alert.silenced_until !== null && new Date(alert.silenced_until).getTime() > now;
  const { data } = alert;
  return (
    <li className={styles.alert}>
      <button type="button" className={styles.alertHead} aria-expanded={isOpen} onClick={onToggle} data-row>
        <Icon name={alert.state === "resolved" ? "done" : icon} label={word} />
        <span>
          <strong className={`${styles.alertTitle ?? ""} ${alert.state === "resolved" ? "t2" : ""}`}>{alert.title}</strong>
          <p>{alert.text}</p>
          <span className="row s12 t3" style={{ gap: 12 }}>
            {alert.rule !== null && <span>rule {alert.rule.name}</span>}
            {alert.acknowledged_at !== null && <Status thing="alert" state="acknowledged" detail={alert.acknowledged_by === null ? undefined : `by ${alert.acknowledged_by.name}`} />}
            {isSilenced && <Status thing="alert" state="silenced" detail={`until ${formatMoment(alert.silenced_until ?? "", now)}`} />}
          </span>
        </span>
        <span className={styles.when}>
          {alert.resolved_at === null ? (
            <>
              <b>{formatAge(alert.opened_at, now)}</b>since {formatMoment(alert.opened_at, now)}
            </>
          ) : (
            <>
              <b>resolved</b>
              after {formatDuration(new Date(alert.resolved_at).getTime() - new Date(alert.opened_at).getTime())}
            </>
          )}
        </span>
        <Icon name="chev" size={14} />
      </button>
      {isOpen && (
        <div className={`stack ${styles.alertBody ?? ""}`}>
          <FigureRow
            figures={[
              { label: "Newest", value: data.history?.at(-1)?.value == null ? NO_DATA : formatMeasure(data.history.at(-1)?.value) },
              { label: "Alert at", value: data.threshold === undefined ? "–" : formatMeasure(data.threshold) },
              { label: "Mean", value: data.mean_reference == null || data.mean_current == null ? "–" : `${formatMeasure(data.mean_reference)} → ${formatMeasure(data.mean_current)}` },
              { label: "Devices", value: data.device_count === undefined ? "–" : formatCount(data.device_count) },
            ]}
          />
          <EvidencePlot alert={alert} />
          <AlertActions alert={alert} />
        </div>
      )}
    </li>
  );
}

function Rules() {
  const query = useQuery(alertRulesQuery);
  return (
    <Loaded query={query} what="The rules" rows={3}>
      {(rules) =>
        rules.length === 0 ? (
          <Empty title="No rules.">Without a rule nothing opens an alert.</Empty>
        ) : (
          <DataTable
            label="Alert rules"
            rows={rules}
            rowKey={(rule) => rule.id}
            columns={[
              { key: "name", head: "Rule", cell: (rule) => rule.name },
              { key: "kind", head: "Watches", cell: (rule) => <span className="t2">{rule.kind}</span> },
              { key: "threshold", head: "Opens at", cell: (rule) => formatMeasure(rule.threshold), isNumber: true },
              { key: "severity", head: "Severity", cell: (rule) => <Status thing="severity" state={rule.severity} /> },
              { key: "enabled", head: "In force", cell: (rule) => (rule.is_enabled ? "yes" : <span className="t3">no</span>) },
            ]}
          />
        )
      }
    </Loaded>
  );
}

export function AlertsPage() {
  const [search, setSearch] = useSearchState();
  const tab = search["state"] === "resolved" ? "resolved" : search["state"] === "rules" ? "rules" : "open";
  const list = useInfiniteQuery({ ...alertsQuery({ state: tab === "resolved" ? "resolved" : "open", severity: search["severity"] }), placeholderData: keepPreviousData });
  const alerts = rowsOf(list.data);
  const critical = alerts.filter((alert) => alert.severity === "critical").length;
  const title = tab !== "open" ? "Alerts" : list.data === undefined ? "Alerts" : alerts.length === 0 ? "No alert is open" : `${plural(alerts.length, "alert")} open${critical > 0 ? `, ${formatCount(critical)} critical` : ""}`;
  const first = alerts.length === 1 ? alerts[0]?.id : undefined;
  return (
    <>
      <PageHead title={title} />
      <Tabs
        label="Alerts"
        current={tab}
        tabs={[
          { key: "open", title: "Open", to: paths.alerts() },
          { key: "resolved", title: "Resolved", to: paths.alerts({ state: "resolved" }) },
          { key: "rules", title: "Rules", to: paths.alerts({ state: "rules" }) },
        ]}
      />
      {tab === "rules" ? (
        <Rules />
      ) : (
        <Loaded query={list} what="The alerts" rows={6}>
          {() => (
            <>
              <ul aria-live="polite">
                {alerts.map((alert) => (
                  <AlertRow key={alert.id} alert={alert} isOpen={(search["alert"] ?? first) === alert.id} onToggle={() => setSearch({ alert: (search["alert"] ?? first) === alert.id ? "none" : alert.id }, { replace: true })} />
                ))}
              </ul>
              {alerts.length === 0 && (tab === "open" ? <Empty title="Nothing needs attention.">Rules watch drift; see what they would open under Rules.</Empty> : <Empty title="No alert has been resolved yet." />)}
              <More shown={alerts.length} query={list} />
            </>
          )}
        </Loaded>
      )}
      {list.dataUpdatedAt > 0 && (
        <p className="t3 s12" style={{ marginTop: 12 }}>
          read <Age at={new Date(list.dataUpdatedAt).toISOString()} isLive />
        </p>
      )}
    </>
  );
}
