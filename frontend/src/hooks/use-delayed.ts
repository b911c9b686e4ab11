import { useEffect, useState } from "react";

/** True once `isOn` has lasted `delayMs`: quick answers show no skeleton at all. */
export function useDelayed(isOn: boolean, delayMs = 300): boolean {
  const [isLong, setIsLong] = useState(false);
  useEffect(() => {
    if (!isOn) return undefined;
    const timer = setTimeout(() => setIsLong(true), delayMs);
    return () => {
      clearTimeout(timer);
      setIsLong(false);
    };
  }, [isOn, delayMs]);
  return isOn && isLong;
}
