import type { ReactNode } from "react";

import styles from "@/components/ui/message.module.css";

interface EmptyProps {
  /** What would be here and is not: `No devices yet.` */
  title: string;
  /** Why, and the one next step. */
  children?: ReactNode;
}

export function Empty({ title, children }: EmptyProps) {
  return (
    <div className={styles.message}>
      <b>{title}</b>
      {children !== undefined && <div className={`${styles.text ?? ""} sentence`}>{children}</div>}
    </div>
  );
}
