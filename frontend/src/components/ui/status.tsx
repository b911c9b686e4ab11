import type { ReactNode } from "react";

import { Icon } from "@/components/ui/icon";
import styles from "@/components/ui/status.module.css";
import { type StateOf, statusOf, type Thing } from "@/components/ui/status-table";

interface StatusProps<T extends Thing> {
  thing: T;
  state: StateOf[T];
  /** Words that take the place of the vocabulary's own, such as `64 devices missing`. */
  word?: ReactNode;
  /** Words behind it, such as `· holding at wave 3`. */
  detail?: ReactNode;
  isPill?: boolean;
}

/** A state as icon, word and colour. */
export function Status<T extends Thing>({ thing, state, word, detail, isPill = false }: StatusProps<T>) {
  const { icon, word: usual, tone } = statusOf(thing, state);
  return (
    <span className={`${styles.status ?? ""} ${styles[tone] ?? ""} ${isPill ? (styles.pill ?? "") : ""}`} data-state={state}>
      <Icon name={icon} size={14} />
      <span>
        {word ?? usual}
        {detail !== undefined && <> {detail}</>}
      </span>
    </span>
  );
}
