import { useClipboard } from "@mantine/hooks";

import styles from "@/components/ui/copy-line.module.css";

/** A line to take elsewhere, with the button that takes it. */
export function CopyLine({ text, label }: { text: string; label: string }) {
  const clipboard = useClipboard({ timeout: 2000 });
  return (
    <div className={styles.line}>
      <code aria-label={label}>{text}</code>
      <button type="button" className="link s12" onClick={() => clipboard.copy(text)} aria-live="polite">
        {clipboard.copied ? "Copied" : "Copy"}
      </button>
    </div>
  );
}
