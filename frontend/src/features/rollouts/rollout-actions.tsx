import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { Button } from "@/components/ui/button";
import { DeedDialog } from "@/components/ui/deed-dialog";
import type { IconName } from "@/components/ui/icon";
import { MoreMenu } from "@/components/ui/more-menu";
import { useRole } from "@/hooks/use-session";
import { api } from "@/lib/api/client";
import { type RolloutAction, rolloutDenial } from "@/lib/api/capabilities";
import { keys } from "@/lib/api/keys";
import type { Rollout } from "@/lib/api/types";
import { formatCount, plural } from "@/lib/format/number";
import { rolloutSums } from "@/lib/rollout-sums";

interface Deed {
  word: string;
  icon: IconName;
  isDangerous: boolean;
  reason: "required" | "optional";
  title: (rollout: Rollout) => string;
  text: (rollout: Rollout) => string;
}

const toGoBack = (rollout: Rollout) => {
  const { proven, claimed } = rolloutSums(rollout);
  return proven + claimed;
};

/** What resuming does depends on what it ends: after a question it takes the place of the verdict. */
const RESUMING: Partial<Record<Rollout["state"], (rollout: Rollout) => string>> = {
  paused: () => "The released wave is offered again, and its gates are judged.",
  needs_decision: ({ released_wave: wave, waves }) => `Wave ${wave} passes on your word, without a verdict of its gates; ${wave < waves.length ? `wave ${wave + 1} is released` : "the rollout completes"}.`,
  halted: () => "It was halted. Resuming offers the version again; its gates look only at what happens from now on.",
};

const DEEDS: Record<RolloutAction, Deed> = {
  start: { word: "Start", icon: "run", isDangerous: false, reason: "optional", title: ({ name }) => `Start ${name}?`, text: (rollout) => `${plural(rolloutSums(rollout).total, "device")} in ${plural(rollout.waves.length, "wave")}; the first is offered the version at once.` },
  pause: { word: "Pause", icon: "pause", isDangerous: false, reason: "optional", title: ({ name }) => `Pause ${name}?`, text: () => "Nothing new is offered. Devices that are busy finish what they do." },
  resume: { word: "Resume", icon: "run", isDangerous: false, reason: "required", title: ({ name }) => `Resume ${name}?`, text: (rollout) => RESUMING[rollout.state]?.(rollout) ?? "" },
  halt: { word: "Halt", icon: "halt", isDangerous: true, reason: "required", title: ({ name }) => `Halt ${name}?`, text: () => "Nothing more is offered. Devices that have the version keep it until it is rolled back." },
  rollback: { word: "Roll back", icon: "undo", isDangerous: true, reason: "required", title: (rollout) => `Roll back ${plural(toGoBack(rollout), "device")}?`, text: (rollout) => `${formatCount(toGoBack(rollout))} devices that run ${rollout.version} are asked to go back to what they ran before, and prove it.` },
  cancel: { word: "Cancel", icon: "cancelled", isDangerous: true, reason: "required", title: ({ name }) => `Cancel ${name}?`, text: () => "Devices that have not switched never receive it. Devices that have it keep it." },
};

/** The two actions that matter in a state; the rest is behind "more". */
const FIRST: Partial<Record<Rollout["state"], readonly RolloutAction[]>> = {
  draft: ["start", "cancel"],
  running: ["pause", "halt"],
  paused: ["resume", "halt"],
  needs_decision: ["resume", "halt"],
  halted: ["resume", "rollback"],
  completed: ["rollback"],
};

export function RolloutActions({ rollout }: { rollout: Rollout }) {
  const client = useQueryClient();
  const role = useRole();
  const [asked, setAsked] = useState<RolloutAction | null>(null);
  const act = useMutation({
    mutationFn: ({ action, reason }: { action: RolloutAction; reason: string }) => api.post(`rollouts/${rollout.id}/${action}/`, { reason }),
    onSettled: () => Promise.all([client.invalidateQueries({ queryKey: keys.rollouts.all }), client.invalidateQueries({ queryKey: keys.overview })]),
  });
  const deed = asked === null ? null : DEEDS[asked];
  return (
    <>
      {(FIRST[rollout.state] ?? []).map((action) => (
        <Button key={action} icon={DEEDS[action].icon} look={DEEDS[action].isDangerous ? "danger" : action === "start" ? "primary" : "default"} denial={rolloutDenial(action, rollout, role)} onClick={() => setAsked(action)}>
          {DEEDS[action].word}…
        </Button>
      ))}
      <MoreMenu items={(Object.keys(DEEDS) as RolloutAction[]).map((action) => ({ key: action, label: `${DEEDS[action].word}…`, denial: rolloutDenial(action, rollout, role), onSelect: () => setAsked(action) }))} />
      {asked !== null && deed !== null && (
        <DeedDialog
          title={deed.title(rollout)}
          deed={deed.word}
          isDangerous={deed.isDangerous}
          reason={deed.reason}
          deviceCount={asked === "rollback" ? toGoBack(rollout) : asked === "start" ? rolloutSums(rollout).total : 0}
          onClose={() => setAsked(null)}
          onConfirm={(reason) => act.mutateAsync({ action: asked, reason })}
        >
          {deed.text(rollout)}
        </DeedDialog>
      )}
    </>
  );
}
