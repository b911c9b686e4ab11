import { useEffect } from "react";

/** Sets the tab's title to the screen's answer. */
export function useTitle(title: string | undefined): void {
  useEffect(() => {
    document.title = title === undefined || title === "" ? "Flotilla" : `${title} · Flotilla`;
  }, [title]);
}
