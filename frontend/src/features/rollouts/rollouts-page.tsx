import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";

import { RolloutStatus } from "@/components/rollout-status";
import { Age } from "@/components/ui/age";
import { AppLink } from "@/components/ui/app-link";
import { LinkButton } from "@/components/ui/button";
import { type Column, DataTable, More } from "@/components/ui/data-table";
import { Empty } from "@/components/ui/empty";
import { Loaded } from "@/components/ui/loading";
import { PageHead } from "@/components/ui/page";
import { WaveBar } from "@/components/ui/state-bar";
import { Tabs } from "@/components/ui/tabs";
import styles from "@/features/rollouts/rollouts.module.css";
import { STRATEGY_WORDS } from "@/features/rollouts/selector-text";
import { useSearchState } from "@/hooks/use-search-state";
import { useRole } from "@/hooks/use-session";
import { createDenial } from "@/lib/api/capabilities";
import { rowsOf } from "@/lib/api/queries/paged";
import { rolloutsQuery } from "@/lib/api/queries/rollouts";
import type { Rollout } from "@/lib/api/types";
import { formatCount, plural } from "@/lib/format/number";
import { paths } from "@/lib/path-builder";
import { rolloutSums, versionStep } from "@/lib/rollout-sums";

const COLUMNS: readonly Column<Rollout>[] = [
  {
    key: "name",
    head: "Rollout",
    cell: (rollout) => (
      <AppLink to={paths.rollout(rollout.id)} data-row>
        {rollout.name}
      </AppLink>
    ),
  },
  { key: "version", head: "Version", cell: (rollout) => <AppLink to={paths.version(rollout.version_id)} className="t2">{`${rollout.model} ${versionStep(rollout)}`}</AppLink> },
  { key: "state", head: "State", cell: (rollout) => <RolloutStatus rollout={rollout} /> },
  { key: "devices", head: "Devices by state", cell: (rollout) => <WaveBar waves={rollout.waves} />, className: styles.barCell, priority: "medium" },
  {
    key: "proven",
    head: "Proven",
    isNumber: true,
    cell: (rollout) => {
      const sums = rolloutSums(rollout);
      return (
        <>
          {formatCount(sums.proven)} <span className="t3 s12">of {formatCount(sums.total)}</span>
        </>
      );
    },
  },
  { key: "strategy", head: "Strategy", cell: (rollout) => <span className="t2">{STRATEGY_WORDS[rollout.strategy]}</span>, priority: "wide" },
  { key: "started", head: "Started", cell: (rollout) => <span className="t2"><Age at={rollout.started_at} none="not yet" /></span>, isNumber: true, priority: "medium" },
];

const VIEWS = ["running", "needs_decision", "halted", "completed", "rolled_back"] as const;

const VIEW_TITLES: Record<(typeof VIEWS)[number], string> = { running: "Running", needs_decision: "To decide", halted: "Halted", completed: "Completed", rolled_back: "Rolled back" };

export function RolloutsPage() {
  const role = useRole();
  const [search] = useSearchState();
  const filter = { state: search["state"], model: search["model"] };
  const list = useInfiniteQuery({ ...rolloutsQuery(filter), placeholderData: keepPreviousData });
  const rollouts = rowsOf(list.data);
  const running = rollouts.filter((rollout) => rollout.state === "running").length;
  const stopped = rollouts.filter((rollout) => rollout.state === "halted" || rollout.state === "rolling_back").length;
  const title = list.data === undefined ? "Rollouts" : stopped > 0 ? `${plural(stopped, "rollout")} stopped` : running > 0 ? `${plural(running, "rollout")} running` : "No rollout is running";
  return (
    <>
      <PageHead
        title={title}
        context={filter.model !== undefined && `of ${filter.model}`}
        actions={
          <LinkButton to={paths.rolloutPlanner()} look="primary" icon="plus" denial={createDenial("rollout", role)}>
            Plan rollout
          </LinkButton>
        }
      />
      <Tabs
        label="Saved views"
        current={filter.state ?? "all"}
        tabs={[{ key: "all", title: "All", to: paths.rollouts() }, ...VIEWS.map((state) => ({ key: state, title: VIEW_TITLES[state], to: paths.rollouts({ state }) }))]}
      />
      <Loaded query={list} what="The list of rollouts" rows={8}>
        {() =>
          rollouts.length === 0 ? (
            filter.state === undefined ? (
              <Empty title="No rollouts yet.">
                An approved version can be{" "}
                <AppLink className="link" to={paths.rolloutPlanner()}>
                  planned
                </AppLink>{" "}
                onto devices, wave by wave.
              </Empty>
            ) : (
              <Empty title="No rollout matches.">
                <AppLink className="link" to={paths.rollouts()}>
                  Show all
                </AppLink>
              </Empty>
            )
          ) : (
            <>
              <DataTable label="Rollouts" columns={COLUMNS} rows={rollouts} rowKey={(rollout) => rollout.id} isStale={list.isPlaceholderData} />
              <More shown={rollouts.length} query={list} />
            </>
          )
        }
      </Loaded>
    </>
  );
}
