import { AppLink } from "@/components/ui/app-link";
import styles from "@/components/ui/tabs.module.css";
import { formatCount } from "@/lib/format/number";

export interface Tab {
  key: string;
  title: string;
  to: string;
  count?: number | undefined;
}

/** Parts of one object, each with an address of its own. */
export function Tabs({ label, tabs, current }: { label: string; tabs: readonly Tab[]; current: string }) {
  return (
    <nav className={styles.tabs} aria-label={label}>
      {tabs.map((tab) => (
        <AppLink key={tab.key} to={tab.to} aria-current={tab.key === current ? "page" : undefined}>
          {tab.title}
          {tab.count !== undefined && <small>{formatCount(tab.count)}</small>}
        </AppLink>
      ))}
    </nav>
  );
}
