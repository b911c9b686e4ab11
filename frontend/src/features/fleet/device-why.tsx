import { useQuery } from "@tanstack/react-query";

import { AppLink } from "@/components/ui/app-link";
import { Empty } from "@/components/ui/empty";
import { Icon, type IconName } from "@/components/ui/icon";
import { Loaded } from "@/components/ui/loading";
import { Section } from "@/components/ui/section";
import styles from "@/features/fleet/device.module.css";
import { useNow } from "@/hooks/use-now";
import { deviceWhyQuery } from "@/lib/api/queries/fleet";
import type { Why, WhyStep } from "@/lib/api/types";
import { formatMoment } from "@/lib/format/time";
import { paths } from "@/lib/path-builder";

const MARK: Record<WhyStep["state"], { icon: IconName; word: string }> = {
  done: { icon: "pass", word: "passed" },
  waiting: { icon: "here", word: "waits here" },
  next: { icon: "todo", word: "will follow" },
  failed: { icon: "failed", word: "failed" },
};

function titleOf(why: Why | undefined): string {
  if (why?.target == null) return "Why is this device not updated?";
  return why.is_on_target ? `Why is this device on ${why.target.version}?` : `Why is this device not on ${why.target.version}?`;
}

/** The ordered answer: what is passed, the one thing it waits for, what will follow. */
export function DeviceWhy({ deviceId }: { deviceId: string }) {
  const query = useQuery(deviceWhyQuery(deviceId));
  const now = useNow();
  const rolloutId = query.data?.target?.rollout_id ?? null;
  return (
    <Section
      isBare
      title={titleOf(query.data)}
      end={
        rolloutId !== null && (
          <AppLink className="link" to={paths.rollout(rolloutId)}>
            Rollout
          </AppLink>
        )
      }
    >
      <Loaded query={query} what="The answer" rows={4}>
        {(why) => (
          <>
            {why.steps.length === 0 && <Empty title="Nothing is planned for this device.">No rollout has chosen it. Plan one that selects it.</Empty>}
            <ol className={styles.why}>
              {why.steps.map((step) => {
                const to = step.link === null ? null : paths.object(step.link.kind, step.link.id);
                return (
                  <li key={step.key} data-state={step.state}>
                    <Icon name={MARK[step.state].icon} label={MARK[step.state].word} />
                    <div>
                      <b>{step.title}</b>
                      {(step.text !== "" || to !== null) && (
                        <p>
                          {step.text}{" "}
                          {to !== null && (
                            <AppLink className="link" to={to}>
                              Open
                            </AppLink>
                          )}
                        </p>
                      )}
                    </div>
                  </li>
                );
              })}
            </ol>
            {why.next !== null && (
              <p className={styles.next} aria-live="polite">
                Next: {why.next.text.replace(/\.$/, "")}
                {why.next.at !== null && <>, expected <b>{formatMoment(why.next.at, now)}</b></>}
                .
              </p>
            )}
          </>
        )}
      </Loaded>
    </Section>
  );
}
