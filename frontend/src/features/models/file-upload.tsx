import { type CSSProperties, type DragEvent, useRef, useState } from "react";

import { Button } from "@/components/ui/button";
import { Icon } from "@/components/ui/icon";
import styles from "@/features/models/models.module.css";
import { type ApiError } from "@/lib/api/client";
import { startUpload, type UploadHandle } from "@/lib/api/upload";
import { formatBytes } from "@/lib/format/bytes";
import { formatRatio } from "@/lib/format/number";

interface FileUploadProps {
  label: string;
  accept: string;
  help: string;
  error?: string | undefined;
  /** Called with `sending` when a file is chosen, and with the upload's id when all its bytes have arrived. */
  onChange: (upload: Upload) => void;
}

/** What a form knows of a file: none chosen, one on its way, or the id under which it arrived. */
export type Upload = { id: string } | "sending" | null;

type State = { kind: "empty" } | { kind: "sending" | "paused"; file: File; sent: number } | { kind: "stopped"; file: File; sent: number; problem: ApiError } | { kind: "done"; file: File };

/** A file on its way: progress in bytes, pause, resume; an interrupted one goes on where it stopped. */
export function FileUpload({ label, accept, help, error, onChange }: FileUploadProps) {
  const input = useRef<HTMLInputElement>(null);
  const handle = useRef<UploadHandle | null>(null);
  const [state, setState] = useState<State>({ kind: "empty" });
  const [isOver, setIsOver] = useState(false);

  const choose = (file: File | undefined) => {
    if (file === undefined) return;
    handle.current?.pause();
    onChange("sending");
    setState({ kind: "sending", file, sent: 0 });
    handle.current = startUpload({
      file,
      onProgress: (sent) => setState((old) => (old.kind === "sending" && old.file === file ? { ...old, sent } : old)),
      onError: (problem) => setState((old) => (old.kind === "empty" || old.kind === "done" ? old : { kind: "stopped", file, sent: old.sent, problem })),
      onDone: (id) => {
        setState({ kind: "done", file });
        onChange({ id });
      },
    });
  };
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setIsOver(false);
    choose(event.dataTransfer.files[0]);
  };
  const resume = () => {
    if (state.kind !== "paused" && state.kind !== "stopped") return;
    setState({ kind: "sending", file: state.file, sent: state.sent });
    handle.current?.resume();
  };

  return (
    <div>
      <div className="t2 s12" style={{ marginBottom: 4 }}>
        {label}
      </div>
      <div
        className={styles.file}
        data-over={isOver}
        onDragOver={(event) => {
          event.preventDefault();
          setIsOver(true);
        }}
        onDragLeave={() => setIsOver(false)}
        onDrop={drop}
      >
        <input ref={input} type="file" accept={accept} hidden aria-label={label} onChange={(event) => choose(event.currentTarget.files?.[0])} />
        {state.kind === "empty" ? (
          <>
            <Button icon="upload" onClick={() => input.current?.click()}>
              Choose file…
            </Button>
            <span className="t3 s12">or drop it here. {help}</span>
          </>
        ) : (
          <>
            <span className="mono clip" style={{ maxWidth: 220 }} title={state.file.name}>
              {state.file.name}
            </span>
            {state.kind === "done" ? (
              <span className="row grow ok">
                <Icon name="pass" size={14} /> {formatBytes(state.file.size)} sent
              </span>
            ) : (
              <>
                <span className={styles.progress} role="progressbar" aria-label={`Sending ${state.file.name}`} aria-valuenow={Math.round((100 * state.sent) / Math.max(1, state.file.size))} aria-valuemin={0} aria-valuemax={100}>
                  <i style={{ "--ratio": `${((100 * state.sent) / Math.max(1, state.file.size)).toFixed(1)}%` } as CSSProperties} />
                </span>
                <span className="t2 s12 nowrap">
                  {formatBytes(state.sent)} of {formatBytes(state.file.size)}, {formatRatio(state.sent / Math.max(1, state.file.size), 0)}
                </span>
              </>
            )}
            {state.kind === "sending" && (
              <Button
                onClick={() => {
                  handle.current?.pause();
                  setState({ kind: "paused", file: state.file, sent: state.sent });
                }}
              >
                Pause
              </Button>
            )}
            {(state.kind === "paused" || state.kind === "stopped") && <Button onClick={resume}>Resume</Button>}
            {state.kind !== "sending" && <Button onClick={() => input.current?.click()}>Other file…</Button>}
          </>
        )}
      </div>
      {state.kind === "stopped" && (
        <p className="crit s12" role="alert">
          {state.problem.message} <code className="mono t3">{state.problem.code}</code>
        </p>
      )}
      {error !== undefined && state.kind !== "stopped" && (
        <p className="crit s12" role="alert">
          {error}
        </p>
      )}
    </div>
  );
}
