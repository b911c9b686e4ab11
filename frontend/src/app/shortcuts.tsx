import { Modal } from "@mantine/core";
import { useRouter } from "@tanstack/react-router";
import { Fragment, useEffect, useRef } from "react";

import styles from "@/app/shortcuts.module.css";
import { paths } from "@/lib/path-builder";
import { hasSingleKeys } from "@/lib/preferences";

const GO: Record<string, string> = {
  o: paths.overview(),
  d: paths.devices(),
  m: paths.models(),
  r: paths.rollouts(),
  f: paths.drift(),
  a: paths.alerts(),
};

const SEQUENCE_MS = 1_200;

const KEYS: readonly [string, string][] = [
  ["Ctrl K", "Search, go to, run a command"],
  ["/", "Search this list"],
  ["j k", "Next, previous row"],
  ["Enter", "Open the row"],
  ["[ ]", "Previous, next object"],
  ["g o", "Overview"],
  ["g d", "Devices"],
  ["g m", "Models"],
  ["g r", "Rollouts"],
  ["g f", "Drift"],
  ["g a", "Alerts"],
  ["?", "All keys"],
  ["Esc", "Close what is on top"],
];

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName));
}

/** Moves the focus among the rows' own links, which carry data-row. */
function moveRow(step: 1 | -1): void {
  const rows = [...document.querySelectorAll<HTMLElement>("main [data-row]")];
  if (rows.length === 0) return;
  const at = rows.indexOf(document.activeElement as HTMLElement);
  const next = at < 0 ? (step === 1 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step));
  rows[next]?.focus();
  rows[next]?.scrollIntoView({ block: "nearest" });
}

interface ShortcutsProps {
  isHelpOpen: boolean;
  setIsHelpOpen: (isOpen: boolean) => void;
}

/** Single keys for what is done a hundred times a day. They never fire in a field and can be turned off in the settings. */
export function Shortcuts({ isHelpOpen, setIsHelpOpen }: ShortcutsProps) {
  const router = useRouter();
  const goPressedAt = useRef(0);
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || !hasSingleKeys()) return;
      if (document.querySelector('[role="dialog"]') !== null) return;
      const target = GO[event.key];
      if (Date.now() - goPressedAt.current < SEQUENCE_MS && target !== undefined) {
        goPressedAt.current = 0;
        event.preventDefault();
        router.history.push(target);
        return;
      }
      switch (event.key) {
        case "g":
          goPressedAt.current = Date.now();
          return;
        case "?":
          setIsHelpOpen(true);
          break;
        case "/":
          document.querySelector<HTMLElement>("main [data-list-search]")?.focus();
          break;
        case "j":
          moveRow(1);
          break;
        case "k":
          moveRow(-1);
          break;
        case "[":
        case "]":
          document.querySelector<HTMLElement>(`main [data-sibling="${event.key === "[" ? "previous" : "next"}"]`)?.click();
          break;
        default:
          return;
      }
      event.preventDefault();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, [router, setIsHelpOpen]);
  return (
    <Modal opened={isHelpOpen} onClose={() => setIsHelpOpen(false)} title="Keys" closeButtonProps={{ "aria-label": "Close" }}>
      <dl className={styles.keys}>
        {KEYS.map(([keyText, text]) => (
          <Fragment key={keyText}>
            <dt>
              {keyText.split(" ").map((part) => (
                <kbd key={part}>{part}</kbd>
              ))}
            </dt>
            <dd>{text}</dd>
          </Fragment>
        ))}
      </dl>
    </Modal>
  );
}
