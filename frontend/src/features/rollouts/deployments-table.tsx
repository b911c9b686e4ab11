import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";

import { evidenceText } from "@/components/evidence";
import { Age } from "@/components/ui/age";
import { AppLink } from "@/components/ui/app-link";
import { type Column, DataTable, More } from "@/components/ui/data-table";
import { Empty } from "@/components/ui/empty";
import { Loaded } from "@/components/ui/loading";
import { Section } from "@/components/ui/section";
import { Status } from "@/components/ui/status";
import { DEPLOYMENT_ORDER, statusOf } from "@/components/ui/status-table";
import { Choice } from "@/components/ui/choice";
import { rowsOf } from "@/lib/api/queries/paged";
import { deploymentsQuery } from "@/lib/api/queries/rollouts";
import type { Deployment } from "@/lib/api/types";
import { paths } from "@/lib/path-builder";

const COLUMNS: readonly Column<Deployment>[] = [
  {
    key: "device",
    head: "Device",
    cell: (deployment) => (
      <AppLink to={paths.device(deployment.device.id)} className="mono" data-row>
        {deployment.device.name}
      </AppLink>
    ),
  },
  { key: "wave", head: "Wave", cell: (deployment) => deployment.wave, isNumber: true },
  { key: "state", head: "State", cell: (deployment) => <Status thing="deployment" state={deployment.state} /> },
  { key: "evidence", head: "Evidence or reason", cell: (deployment) => <span className="s12">{evidenceText(deployment)}</span>, priority: "medium" },
  { key: "region", head: "Region", cell: (deployment) => <span className="t2">{deployment.device.region ?? "–"}</span>, priority: "medium" },
  { key: "hardware", head: "Hardware", cell: (deployment) => <span className="t2">{deployment.device.hardware_profile}</span>, priority: "wide" },
  { key: "attempt", head: "Attempt", cell: (deployment) => <span className="t2">{deployment.attempt}</span>, isNumber: true, priority: "wide" },
  { key: "since", head: "Since", cell: (deployment) => <span className="t2"><Age at={deployment.state_at} /></span>, isNumber: true },
];

interface DeploymentsTableProps {
  rolloutId: string;
  state: string | undefined;
  onState: (state: string) => void;
}

/** The devices of a rollout, one by one. */
export function DeploymentsTable({ rolloutId, state, onState }: DeploymentsTableProps) {
  const list = useInfiniteQuery({ ...deploymentsQuery({ rollout: rolloutId, state }), placeholderData: keepPreviousData });
  const deployments = rowsOf(list.data);
  const options = [{ value: "", label: "all" }, ...DEPLOYMENT_ORDER.map((value) => ({ value, label: statusOf("deployment", value).word }))];
  return (
    <Section isBare title="Devices of this rollout" end={<Choice label="State" value={state ?? ""} options={options} onChange={onState} />}>
      <Loaded query={list} what="The devices of this rollout" rows={8}>
        {() =>
          deployments.length === 0 ? (
            <Empty title="No device is in this state." />
          ) : (
            <>
              <DataTable label="Devices of this rollout" columns={COLUMNS} rows={deployments} rowKey={(deployment) => deployment.id} isStale={list.isPlaceholderData} />
              <More shown={deployments.length} query={list} />
            </>
          )
        }
      </Loaded>
    </Section>
  );
}
