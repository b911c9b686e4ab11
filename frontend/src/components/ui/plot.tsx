import { useComputedColorScheme } from "@mantine/core";
import type { ECharts, EChartsCoreOption } from "echarts/core";
import { type CSSProperties, type ReactNode, useEffect, useRef, useState } from "react";

import styles from "@/components/ui/plot.module.css";
import "@/components/ui/tip.css";
import { type ChartTokens, readChartTokens } from "@/theme/chart-tokens";

export interface PlotTable {
  head: readonly string[];
  rows: readonly (readonly ReactNode[])[];
}

interface PlotProps {
  /** A sentence that says what is drawn, for readers and for when it cannot be drawn. */
  label: string;
  /** Builds the chart from the tokens of the present scheme. Must be stable between equal data (useCallback). */
  option: (tokens: ChartTokens) => EChartsCoreOption;
  height: number;
  table?: PlotTable;
  /** Charts of one group share their crosshair. */
  group?: string;
}

/** A chart on a canvas, rebuilt when the scheme changes, with the same numbers as a table for those who want them. */
export function Plot({ label, option, height, table, group }: PlotProps) {
  const element = useRef<HTMLDivElement>(null);
  const chart = useRef<ECharts | null>(null);
  const scheme = useComputedColorScheme("light");
  const [isReady, setIsReady] = useState(false);
  const [isTable, setIsTable] = useState(false);

  useEffect(() => {
    const target = element.current;
    if (target === null || isTable || document.createElement("canvas").getContext("2d") === null) return undefined;
    let isGone = false;
    const resize = new ResizeObserver(() => chart.current?.resize());
    void import("@/components/ui/echarts").then(({ connect, init }) => {
      if (isGone) return;
      chart.current = init(target, null, { renderer: "canvas" });
      if (group !== undefined) {
        chart.current.group = group;
        connect(group);
      }
      resize.observe(target);
      setIsReady(true);
    });
    return () => {
      isGone = true;
      resize.disconnect();
      chart.current?.dispose();
      chart.current = null;
      setIsReady(false);
    };
  }, [group, isTable]);

  useEffect(() => {
    if (isReady) chart.current?.setOption(option(readChartTokens()), { notMerge: true, lazyUpdate: true });
  }, [option, scheme, isReady]);

  return (
    <div className={styles.plot} style={{ "--plot-height": `${height}px` } as CSSProperties}>
      {isTable && table !== undefined ? (
        <div className={styles.table}>
          <table aria-label={label}>
            <thead>
              <tr>
                {table.head.map((head) => (
                  <th key={head} scope="col">
                    {head}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {table.rows.map((row, index) => (
                <tr key={index}>
                  {row.map((cell, column) => (
                    <td key={column}>{cell}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : (
        <div ref={element} className={styles.canvas} role="img" aria-label={label} />
      )}
      {table !== undefined && table.rows.length > 0 && (
        <button type="button" className={`link ${styles.toggle ?? ""}`} onClick={() => setIsTable((is) => !is)}>
          {isTable ? "Show as chart" : "Show as table"}
        </button>
      )}
    </div>
  );
}
