import { keepPreviousData, useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import type { CSSProperties } from "react";

import { Age } from "@/components/ui/age";
import { AppLink } from "@/components/ui/app-link";
import { Button } from "@/components/ui/button";
import { type Column, DataTable, More } from "@/components/ui/data-table";
import { Empty } from "@/components/ui/empty";
import { Loaded } from "@/components/ui/loading";
import { PageHead } from "@/components/ui/page";
import { Status } from "@/components/ui/status";
import { Tabs } from "@/components/ui/tabs";
import styles from "@/features/jobs/jobs.module.css";
import { useNow } from "@/hooks/use-now";
import { useSearchState } from "@/hooks/use-search-state";
import { useRole } from "@/hooks/use-session";
import { api } from "@/lib/api/client";
import { type JobAction, jobDenial } from "@/lib/api/capabilities";
import { keys } from "@/lib/api/keys";
import { jobsQuery } from "@/lib/api/queries/insights";
import { rowsOf } from "@/lib/api/queries/paged";
import type { Job } from "@/lib/api/types";
import { formatRatio, plural } from "@/lib/format/number";
import { sentence, words } from "@/lib/format/text";
import { formatDuration } from "@/lib/format/time";
import { paths } from "@/lib/path-builder";

/** `models_registry.validate` as `Validate`; the full kind stays on hover. */
const kindText = (kind: string) => sentence(words(kind.split(".").at(-1) ?? kind));

function Progress({ job }: { job: Job }) {
  if (job.state === "failed" && job.error !== null) {
    return (
      <span className="crit s12">
        {job.error.text} <code className="mono t3">{job.error.code}</code>
      </span>
    );
  }
  if (job.state === "done") return <span className="t3">–</span>;
  if (job.state !== "running") return <span className="t3 s12">{job.progress_text}</span>;
  return (
    <span className="row">
      <span className={styles.track} role="progressbar" aria-label={kindText(job.kind)} aria-valuenow={Math.round(job.progress_ratio * 100)} aria-valuemin={0} aria-valuemax={100}>
        <i style={{ "--ratio": `${(job.progress_ratio * 100).toFixed(1)}%` } as CSSProperties} />
      </span>
      {formatRatio(job.progress_ratio, 0)} <span className="t3 s12">{job.progress_text}</span>
    </span>
  );
}

function Actions({ job }: { job: Job }) {
  const client = useQueryClient();
  const role = useRole();
  const act = useMutation({ mutationFn: (action: JobAction) => api.post(`jobs/${job.id}/${action}/`), onSettled: () => client.invalidateQueries({ queryKey: keys.jobs.all }) });
  const action: JobAction = job.state === "queued" || job.state === "running" ? "cancel" : "retry";
  if (job.state === "done") return null;
  return (
    <Button denial={act.error?.message ?? jobDenial(action, job, role)} isBusy={act.isPending} onClick={() => act.mutate(action)}>
      {action === "cancel" ? "Cancel" : "Retry"}
    </Button>
  );
}

function Took({ job }: { job: Job }) {
  const now = useNow("second");
  if (job.started_at === null) return <span className="t3">–</span>;
  const end = job.finished_at === null ? now : new Date(job.finished_at).getTime();
  return <span className="t2">{formatDuration(end - new Date(job.started_at).getTime())}</span>;
}

const COLUMNS: readonly Column<Job>[] = [
  { key: "kind", head: "Work", cell: (job) => <span title={job.kind}>{kindText(job.kind)}</span> },
  {
    key: "subject",
    head: "Makes",
    cell: (job) => {
      const to = job.subject === null ? null : paths.object(job.subject.kind, job.subject.id);
      if (job.subject === null) return <span className="t3">–</span>;
      const name = job.subject.name ?? words(job.subject.kind);
      return to === null ? <span className="t2">{name}</span> : <AppLink className="link" to={to} data-row>{name}</AppLink>;
    },
  },
  { key: "state", head: "State", cell: (job) => <Status thing="job" state={job.state} /> },
  { key: "progress", head: "Progress or result", cell: (job) => <Progress job={job} /> },
  { key: "attempt", head: "Attempt", cell: (job) => <span className="t2">{`${job.attempt} of ${job.max_attempts}`}</span>, isNumber: true, priority: "medium" },
  { key: "queue", head: "Queue", cell: (job) => <span className="t2">{job.queue}</span>, priority: "wide" },
  { key: "created", head: "Asked", cell: (job) => <span className="t2"><Age at={job.created_at} /></span>, isNumber: true, priority: "medium" },
  { key: "took", head: "Took", cell: (job) => <Took job={job} />, isNumber: true },
  { key: "action", head: "Action", cell: (job) => <Actions job={job} />, isNumber: true },
];

const VIEWS = ["queued", "running", "failed", "done"] as const;

export function JobsPage() {
  const [search] = useSearchState();
  const filter = { state: search["state"] };
  const list = useInfiniteQuery({ ...jobsQuery(filter), placeholderData: keepPreviousData });
  const jobs = rowsOf(list.data);
  const running = jobs.filter((job) => job.state === "running").length;
  const failed = jobs.filter((job) => job.state === "failed").length;
  const title = list.data === undefined ? "Jobs" : running > 0 ? `${plural(running, "job")} running` : failed > 0 ? `${plural(failed, "job")} failed` : "No job is running";
  return (
    <>
      <PageHead title={title} context="Long work: validation, copies, signing. What is killed halfway is taken up again." />
      <Tabs label="Saved views" current={filter.state ?? "all"} tabs={[{ key: "all", title: "All", to: paths.jobs() }, ...VIEWS.map((state) => ({ key: state, title: sentence(state), to: paths.jobs({ state }) }))]} />
      <Loaded query={list} what="The list of jobs" rows={8}>
        {() =>
          jobs.length === 0 ? (
            <Empty title={filter.state === undefined ? "No jobs yet." : "No job is in this state."}>Publishing a version makes the first one.</Empty>
          ) : (
            <>
              <DataTable label="Jobs" columns={COLUMNS} rows={jobs} rowKey={(job) => job.id} isStale={list.isPlaceholderData} />
              <More shown={jobs.length} query={list} />
            </>
          )
        }
      </Loaded>
    </>
  );
}
