import type { ReactNode } from "react";

import { Icon, type IconName } from "@/components/ui/icon";
import styles from "@/components/ui/verdict.module.css";

interface VerdictProps {
  kind: "go" | "hold" | "stop";
  icon: IconName;
  children: ReactNode;
  action?: ReactNode;
}

/** The one boxed line of a page: what holds, with what evidence, and what comes next. Readers hear it change. */
export function Verdict({ kind, icon, children, action }: VerdictProps) {
  return (
    <div className={`${styles.verdict ?? ""} ${kind === "go" ? "" : (styles[kind] ?? "")}`} role="status" aria-live="polite">
      <Icon name={icon} />
      <p>{children}</p>
      {action}
    </div>
  );
}
