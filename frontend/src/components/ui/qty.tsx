import { useEffect, useRef, useState } from "react";

import styles from "@/components/ui/qty.module.css";
import { NO_DATA } from "@/lib/format/number";

interface QtyProps {
  /** The value as text, or null when it is not known. */
  value: string | null;
  unit?: string;
}

/** A live value: a change is washed once in 600 ms and moves nothing else. */
export function Qty({ value, unit }: QtyProps) {
  const shown = useRef(value);
  const [washes, setWashes] = useState(0);
  useEffect(() => {
    if (shown.current !== value) {
      shown.current = value;
      setWashes((count) => count + 1);
    }
  }, [value]);
  if (value === null) return <span className="t3">{NO_DATA}</span>;
  return (
    <span key={washes} className={`${styles.qty ?? ""} ${washes > 0 ? (styles.wash ?? "") : ""}`}>
      {value}
      {unit !== undefined && <small>{unit}</small>}
    </span>
  );
}
