import { type ReactNode, useId } from "react";

import styles from "@/components/ui/section.module.css";

interface SectionProps {
  title: ReactNode;
  /** What the figures below refer to, in a few quiet words. */
  meta?: ReactNode;
  /** Links and keys at the right. */
  end?: ReactNode;
  isBare?: boolean;
  className?: string | undefined;
  children: ReactNode;
}

/** A part of a page under a hairline. */
export function Section({ title, meta, end, isBare = false, className, children }: SectionProps) {
  const id = useId();
  return (
    <section className={`${styles.section ?? ""} ${isBare ? (styles.bare ?? "") : ""} ${className ?? ""}`} aria-labelledby={id}>
      <header className={styles.header}>
        <h2 className={styles.title} id={id}>
          {title}
        </h2>
        {meta !== undefined && <span className={styles.meta}>{meta}</span>}
        {end !== undefined && <span className={styles.end}>{end}</span>}
      </header>
      {children}
    </section>
  );
}
