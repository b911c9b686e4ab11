import type { CSSProperties } from "react";

import { Empty } from "@/components/ui/empty";
import { FigureRow } from "@/components/ui/figure";
import styles from "@/features/models/models.module.css";
import type { Evaluation, ModelVersion } from "@/lib/api/types";
import { formatCount, formatFixed, formatRatio, THIN_SPACE } from "@/lib/format/number";

/** A class this far below the mean is what a person should look at. */
const WEAK_BELOW = 0.05;

const milliseconds = (value: number | null | undefined) => (value == null ? "no data" : `${value.toFixed(2)}${THIN_SPACE}ms`);

function difference(now: number | null | undefined, before: number | null | undefined): string {
  if (now == null || before == null) return "";
  const points = (now - before) * 100;
  return ` ${points > 0 ? "+" : ""}${formatFixed(points, 1)}${THIN_SPACE}pp`;
}

function PerClass({ evaluation, parent }: { evaluation: Evaluation; parent: Evaluation | null }) {
  const classes = Object.entries(evaluation.accuracy_by_class).filter((entry): entry is [string, number] => entry[1] !== null);
  if (classes.length === 0) return null;
  const mean = classes.reduce((sum, [, accuracy]) => sum + accuracy, 0) / classes.length;
  return (
    <div className={styles.classes} role="table" aria-label="Accuracy per class">
      {classes.map(([label, accuracy]) => {
        const before = parent?.accuracy_by_class[label];
        const isLow = accuracy < mean - WEAK_BELOW;
        return (
          <div key={label} role="row">
            <span role="rowheader" className={isLow ? "b5" : "t2"}>
              {label}
            </span>
            <span aria-hidden>
              <span className={styles.track}>
                <i data-low={isLow} style={{ "--ratio": `${(accuracy * 100).toFixed(1)}%` } as CSSProperties} />
              </span>
            </span>
            <span role="cell" className={isLow ? "crit b5" : undefined} style={{ justifyContent: "flex-end" }}>
              {formatRatio(accuracy, 1)}
              {before != null && <span className="t3">&nbsp;{difference(accuracy, before)}</span>}
            </span>
          </div>
        );
      })}
    </div>
  );
}

function Confusion({ matrix, labels }: { matrix: readonly (readonly number[])[]; labels: readonly string[] }) {
  return (
    <div className={styles.scroll}>
      <table className={styles.confusion} aria-label="Confusion: truth by row, answer by column">
        <thead>
          <tr>
            <th scope="col">truth \ answer</th>
            {labels.map((label) => (
              <th key={label} scope="col">
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {matrix.map((row, truth) => {
            const total = row.reduce((sum, count) => sum + count, 0);
            return (
              <tr key={truth}>
                <th scope="row">{labels[truth]}</th>
                {row.map((count, answer) => {
                  const ratio = total === 0 ? 0 : count / total;
                  const isRight = truth === answer;
                  const weight = isRight ? ratio * 55 : Math.min(100, ratio * 220);
                  return (
                    <td key={answer} data-strong={!isRight && weight > 60} style={{ "--cell": isRight ? "var(--fl-text-3)" : "var(--fl-crit-fill)", "--weight": `${weight.toFixed(0)}%` } as CSSProperties}>
                      {count === 0 ? "" : count}
                    </td>
                  );
                })}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

/** What validation measured, beside the parent's numbers where there is one. */
export function VersionEvaluation({ version, parent }: { version: ModelVersion; parent: ModelVersion | undefined }) {
  const { evaluation } = version;
  if (evaluation === null) {
    return <Empty title={version.state === "validating" || version.state === "draft" ? "Being evaluated." : "Not evaluated."}>{version.evaluation_set === null ? "It was published without an evaluation set: nothing says how well it answers." : "The numbers appear when validation has run it."}</Empty>;
  }
  const before = parent?.evaluation ?? null;
  const labels = version.details.labels ?? Object.keys(evaluation.accuracy_by_class);
  const named = evaluation.confusion?.map((_, index) => labels[index] ?? String(index)) ?? [];
  return (
    <>
      <FigureRow
        figures={[
          {
            label: "Accuracy",
            value: (
              <>
                {formatRatio(evaluation.accuracy, 1)}
                {before !== null && <small className="t3 s12">{difference(evaluation.accuracy, before.accuracy)}</small>}
              </>
            ),
          },
          { label: "Rows", value: formatCount(evaluation.row_count) },
          { label: "Latency p50, this server", value: milliseconds(evaluation.latency_ms_p50) },
          { label: "Latency p95, this server", value: milliseconds(evaluation.latency_ms_p95) },
        ]}
      />
      <div className="cols" style={{ gridTemplateColumns: "repeat(auto-fit, minmax(260px, 1fr))" }}>
        <div>
          <h3 className="t2 s12">Per class{parent !== undefined && `, against ${parent.version}`}</h3>
          <PerClass evaluation={evaluation} parent={before} />
        </div>
        {evaluation.confusion != null && evaluation.confusion.length > 0 && (
          <div>
            <h3 className="t2 s12">What is taken for what</h3>
            <Confusion matrix={evaluation.confusion} labels={named} />
          </div>
        )}
      </div>
    </>
  );
}
