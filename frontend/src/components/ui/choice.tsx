import { Menu } from "@mantine/core";

import { Button } from "@/components/ui/button";
import styles from "@/components/ui/button.module.css";
import { Icon } from "@/components/ui/icon";

interface ChoiceProps {
  /** What is chosen: `Model`. */
  label: string;
  value: string;
  options: readonly { value: string; label: string; isDimmed?: boolean }[];
  onChange: (value: string) => void;
}

/** A choice in the head of a page: what and which in one button. */
export function Choice({ label, value, options, onChange }: ChoiceProps) {
  const current = options.find((option) => option.value === value)?.label ?? value;
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button look="filter">
          <span className={styles.label}>{label}</span>
          {current}
          <Icon name="chev" size={14} />
        </Button>
      </Menu.Target>
      <Menu.Dropdown mah={360} style={{ overflowY: "auto" }}>
        {options.map((option) => (
          <Menu.Item key={option.value} onClick={() => onChange(option.value)} aria-current={option.value === value ? "true" : undefined} fw={option.value === value ? 500 : 400}>
            {option.label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
