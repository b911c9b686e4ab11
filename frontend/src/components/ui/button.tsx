import { Tooltip } from "@mantine/core";
import type { ButtonHTMLAttributes, MouseEvent, ReactNode, Ref } from "react";

import { AppLink } from "@/components/ui/app-link";
import styles from "@/components/ui/button.module.css";
import { Icon, type IconName } from "@/components/ui/icon";

type Look = "default" | "primary" | "danger" | "icon" | "filter";

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  look?: Look;
  icon?: IconName;
  /** Why it cannot be used now: the button stays visible and reachable and says so. */
  denial?: string | null;
  isBusy?: boolean;
  ref?: Ref<HTMLButtonElement>;
}

const classOf = (look: Look) => `${styles.button ?? ""} ${look === "default" ? "" : (styles[look] ?? "")}`;

export function Button({ look = "default", icon, denial = null, isBusy = false, children, onClick, type = "button", className = "", ref, ...rest }: ButtonProps) {
  const isOff = denial !== null || isBusy;
  const press = (event: MouseEvent<HTMLButtonElement>) => {
    if (isOff) event.preventDefault();
    else onClick?.(event);
  };
  const button = (
    <button ref={ref} type={type} className={`${classOf(look)} ${className}`} aria-disabled={isOff || undefined} aria-busy={isBusy || undefined} onClick={press} {...rest}>
      {icon !== undefined && <Icon name={icon} size={14} />}
      {children}
    </button>
  );
  return denial === null ? button : <Tooltip label={denial}>{button}</Tooltip>;
}

interface LinkButtonProps {
  to: string;
  look?: Look;
  icon?: IconName;
  denial?: string | null;
  children: ReactNode;
}

/** A link that looks like a button: for going somewhere to do something. */
export function LinkButton({ to, look = "default", icon, denial = null, children }: LinkButtonProps) {
  if (denial !== null) {
    return (
      <Button look={look} denial={denial} {...(icon === undefined ? {} : { icon })}>
        {children}
      </Button>
    );
  }
  return (
    <AppLink to={to} className={classOf(look)}>
      {icon !== undefined && <Icon name={icon} size={14} />}
      {children}
    </AppLink>
  );
}
