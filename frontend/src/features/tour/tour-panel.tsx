import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { Age } from "@/components/ui/age";
import { AppLink } from "@/components/ui/app-link";
import { Button } from "@/components/ui/button";
import { Icon } from "@/components/ui/icon";
import { Loaded } from "@/components/ui/loading";
import { statusOf } from "@/components/ui/status-table";
import styles from "@/features/tour/tour.module.css";
import { useRole } from "@/hooks/use-session";
import { api } from "@/lib/api/client";
import { hasRole } from "@/lib/api/capabilities";
import { keys } from "@/lib/api/keys";
import { tourQuery } from "@/lib/api/queries/insights";
import type { Tour, TourStep } from "@/lib/api/types";
import { isTourOpen, setTourOpen } from "@/lib/preferences";

function Step({ step, isTold }: { step: TourStep; isTold: boolean }) {
  const { icon, word } = statusOf("step", step.state);
  return (
    <li className={styles.step} data-state={step.state} title={step.text}>
      <Icon name={icon} size={14} label={word} />
      {step.link === null ? (
        <span>{step.title}</span>
      ) : (
        <AppLink to={step.link} className="link">
          {step.title}
        </AppLink>
      )}
      {step.at === null ? <span /> : <Age at={step.at} />}
      {isTold && step.text !== "" && <p>{step.text}</p>}
    </li>
  );
}

function Actions({ tour }: { tour: Tour }) {
  const client = useQueryClient();
  const role = useRole();
  const act = useMutation({
    mutationFn: (key: string) => api.post(`tour/actions/${key}/`),
    onSettled: () => client.invalidateQueries({ queryKey: keys.tour }),
  });
  return (
    <div className={styles.actions}>
      {tour.actions.map((action) => (
        <Button
          key={action.key}
          isBusy={act.isPending && act.variables === action.key}
          denial={!hasRole(role, "operator") ? "Needs the role operator." : action.is_available ? null : action.text || "Not possible at this point of the story."}
          onClick={() => act.mutate(action.key)}
        >
          {action.title}
        </Button>
      ))}
      {act.error !== null && (
        <p className="crit s12" role="alert">
          {act.error.message}
        </p>
      )}
    </div>
  );
}

/** The demo's story as it happens: what was done, what is being done, where to look; and buttons to make it happen again. */
export function TourPanel() {
  const [isOpen, setIsOpen] = useState(isTourOpen);
  const tour = useQuery(tourQuery);
  const toggle = (next: boolean) => {
    setTourOpen(next);
    setIsOpen(next);
  };
  const done = tour.data?.steps.filter((step) => step.state === "done").length ?? 0;
  const total = tour.data?.steps.length ?? 0;
  // The story is told where it is: at what runs, and at what happened last.
  const newest = tour.data?.steps.findLastIndex((step) => step.state === "done") ?? -1;
  if (!isOpen) {
    return (
      <div className={styles.open} data-tour>
        <Button icon="tour" onClick={() => toggle(true)}>
          Tour {total > 0 && `${done} of ${total}`}
        </Button>
      </div>
    );
  }
  return (
    <aside className={styles.panel} aria-label="Tour">
      <header className={styles.head}>
        <Icon name="tour" size={14} />
        <h2>Tour</h2>
        <span className="t3 s12">
          {total > 0 && `${done} of ${total} done · `}soak times of the demo are seconds
        </span>
        <button type="button" className={styles.close} aria-label="Fold the tour" onClick={() => toggle(false)}>
          <Icon name="close" size={14} />
        </button>
      </header>
      <Loaded query={tour} what="The tour" rows={4}>
        {(data) => (
          <>
            <ol>
              {data.steps.map((step, index) => (
                <Step key={step.key} step={step} isTold={step.state === "running" || step.state === "failed" || index === newest} />
              ))}
            </ol>
            <Actions tour={data} />
          </>
        )}
      </Loaded>
    </aside>
  );
}
