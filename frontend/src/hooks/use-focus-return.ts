import { useEffect, useState } from "react";

/** What had the focus; of a menu's item, which closes with its menu, the button that opened it. */
function opener(): HTMLElement | null {
  const active = document.activeElement;
  const menu = active?.closest('[role="menu"]')?.getAttribute("aria-labelledby");
  const found = menu == null ? active : document.getElementById(menu);
  return found instanceof HTMLElement ? found : null;
}

/** Gives the focus back when a dialog goes away to what had it when the dialog came. */
export function useFocusReturn(): void {
  const [before] = useState(opener);
  useEffect(
    () => () => {
      // After the dialog's own trap has let go.
      setTimeout(() => before?.focus({ preventScroll: true }));
    },
    [before],
  );
}
