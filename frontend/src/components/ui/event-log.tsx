import { AppLink } from "@/components/ui/app-link";
import styles from "@/components/ui/event-log.module.css";
import { Icon, type IconName } from "@/components/ui/icon";
import { useNow } from "@/hooks/use-now";
import { formatClock, formatDay, formatFull } from "@/lib/format/time";

export interface LogLine {
  id: string | number;
  at: string;
  kind: string;
  text: string;
  to?: string | null;
}

/** The first rule that fits a kind draws it: kinds are dotted words such as `deployment.proven`. */
const MARKS: readonly [RegExp, IconName][] = [
  [/restore_failed|failed|invalid|refused|conflict/, "failed"],
  [/halt/, "halt"],
  [/harm|cannot_compute/, "harm"],
  [/rolled_back|rollback|restor|rolling_back/, "rolled-back"],
  [/holds?$|missing|not_enough|needs_decision|extended/, "missing"],
  [/proven|completed|attested/, "proven"],
  [/probation|claimed|installed/, "claimed"],
  [/pass|accepted|enrolled|approved|resolved|acknowledged/, "pass"],
  [/offline|contact_lost|lost/, "offline"],
  [/online|contact|seen/, "online"],
  [/alert|quarantin|warn|drift/, "warning"],
  [/pause/, "paused"],
  [/cancel/, "cancelled"],
  [/released|started|resumed|running|wave/, "run"],
  [/download/, "downloading"],
  [/offered/, "offered"],
  [/planned|created|draft/, "planned"],
  [/person|by_/, "person"],
];

function markOf(kind: string): IconName {
  return MARKS.find(([pattern]) => pattern.test(kind))?.[1] ?? "change";
}

interface EventLogProps {
  lines: readonly LogLine[];
  label: string;
  /** Puts the day above its lines instead of beside each of them: for long times in a narrow column. */
  isByDay?: boolean;
}

/** What happened, newest first: time, mark, words. Times are UTC, with the date when it is not today's. */
export function EventLog({ lines, label, isByDay = false }: EventLogProps) {
  const now = useNow();
  const today = formatDay(now, now);
  return (
    <ol className={styles.log} aria-label={label}>
      {lines.map((line, index) => {
        const day = formatDay(line.at, now);
        const before = lines[index - 1];
        const isNewDay = isByDay && (before === undefined || formatDay(before.at, now) !== day);
        return (
          <li key={line.id} className={styles.line} data-new-day={isNewDay}>
            {isNewDay && <span className={styles.day}>{day === today ? "Today" : day}</span>}
            <time dateTime={line.at} title={formatFull(line.at)}>
              {isByDay ? formatClock(line.at) : day === today ? formatClock(line.at, { seconds: true }) : `${day} ${formatClock(line.at)}`}
            </time>
            <Icon name={markOf(line.kind)} size={14} />
            <span className={styles.text}>{line.to === undefined || line.to === null ? line.text : <AppLink to={line.to}>{line.text}</AppLink>}</span>
          </li>
        );
      })}
    </ol>
  );
}
