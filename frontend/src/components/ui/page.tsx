import type { ReactNode } from "react";

import { AppLink } from "@/components/ui/app-link";
import styles from "@/components/ui/page.module.css";
import { useTitle } from "@/hooks/use-title";

interface PageHeadProps {
  /** The screen's answer. */
  title: string;
  crumbs?: readonly { text: ReactNode; to?: string }[];
  /** Pills beside the title. */
  status?: ReactNode;
  /** One line of context. */
  context?: ReactNode;
  /** At most three actions and "more". */
  actions?: ReactNode;
}

export function PageHead({ title, crumbs = [], status, context, actions }: PageHeadProps) {
  useTitle(title);
  return (
    <div className={styles.head}>
      <div className={styles.text}>
        {crumbs.length > 0 && (
          <nav className={styles.crumb} aria-label="Where this is">
            {crumbs.map((crumb, index) => (
              <span key={index} className="row" style={{ gap: 6 }}>
                {index > 0 && <span aria-hidden>/</span>}
                {crumb.to === undefined ? crumb.text : <AppLink to={crumb.to}>{crumb.text}</AppLink>}
              </span>
            ))}
          </nav>
        )}
        <div className={styles.title}>
          <h1>{title}</h1>
          {status}
        </div>
        {context !== undefined && <div className={`${styles.context ?? ""} sentence`}>{context}</div>}
      </div>
      {actions !== undefined && <div className={styles.actions}>{actions}</div>}
    </div>
  );
}
