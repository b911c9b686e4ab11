import { Modal, Textarea, TextInput } from "@mantine/core";
import { type ReactNode, useState } from "react";

import { Button } from "@/components/ui/button";
import { useFocusReturn } from "@/hooks/use-focus-return";
import { ApiError } from "@/lib/api/client";

/** Above so many devices the number is typed before the deed is done. */
const TYPE_ABOVE = 1000;

interface DeedDialogProps {
  /** The deed as a question: `Roll back 1,205 devices?` */
  title: string;
  /** What happens next, with counts. */
  children: ReactNode;
  /** Verb and object of the button: `Roll back`. */
  deed: string;
  isDangerous?: boolean;
  /** `required`, `optional`, or no reason is asked for. */
  reason?: "required" | "optional" | "none";
  deviceCount?: number;
  onClose: () => void;
  /** Does it; the dialog closes when it succeeds and shows the error when it does not. */
  onConfirm: (reason: string) => Promise<unknown>;
}

/** A dialog named by its deed: counts, what happens next, the reason where policy asks. */
export function DeedDialog({ title, children, deed, isDangerous = false, reason = "optional", deviceCount = 0, onClose, onConfirm }: DeedDialogProps) {
  useFocusReturn();
  const [text, setText] = useState("");
  const [typed, setTyped] = useState("");
  const [problem, setProblem] = useState<Error | null>(null);
  const [hasTried, setHasTried] = useState(false);
  const [isBusy, setIsBusy] = useState(false);
  const isReasonMissing = reason === "required" && text.trim() === "";
  const isNumberMissing = deviceCount > TYPE_ABOVE && typed.replaceAll(",", "") !== String(deviceCount);

  const confirm = async () => {
    setHasTried(true);
    if (isReasonMissing || isNumberMissing) return;
    setIsBusy(true);
    setProblem(null);
    try {
      await onConfirm(text.trim());
      onClose();
    } catch (error) {
      setProblem(error instanceof Error ? error : new Error(String(error)));
      setIsBusy(false);
    }
  };

  return (
    <Modal opened onClose={onClose} title={title} closeButtonProps={{ "aria-label": "Close" }}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void confirm();
        }}
      >
        <div className="t2">{children}</div>
        {reason !== "none" && (
          <Textarea
            label={reason === "required" ? "Reason" : "Reason (optional)"}
            description="stays in the audit log"
            autosize
            minRows={2}
            data-autofocus
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
            error={hasTried && isReasonMissing ? "Enter why: others will read it in the audit log." : undefined}
          />
        )}
        {deviceCount > TYPE_ABOVE && (
          <TextInput label={`Type ${String(deviceCount)} to confirm`} value={typed} onChange={(event) => setTyped(event.currentTarget.value)} error={hasTried && isNumberMissing ? `Enter ${String(deviceCount)}, the number of devices.` : undefined} />
        )}
        {problem !== null && (
          <p className="crit" role="alert">
            {problem.message} {problem instanceof ApiError && <code className="mono t3">{problem.code}</code>}
          </p>
        )}
        <div className="row" style={{ justifyContent: "flex-end" }}>
          <Button onClick={onClose}>Keep as it is</Button>
          <Button type="submit" look={isDangerous ? "danger" : "primary"} isBusy={isBusy}>
            {deed}
          </Button>
        </div>
      </form>
    </Modal>
  );
}
