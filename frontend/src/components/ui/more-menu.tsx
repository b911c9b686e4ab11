import { Menu, Tooltip } from "@mantine/core";

import { Button } from "@/components/ui/button";
import { Icon } from "@/components/ui/icon";

export interface MoreItem {
  key: string;
  label: string;
  /** Why it cannot be done now: the item stays, can be reached, and says so. */
  denial: string | null;
  onSelect: () => void;
}

/** The rest of what can be done with an object, behind three dots. */
export function MoreMenu({ items }: { items: readonly MoreItem[] }) {
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button look="icon" aria-label="More actions">
          <Icon name="more" />
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {items.map(({ key, label, denial, onSelect }) => (
          <Tooltip key={key} label={denial} disabled={denial === null} position="left">
            <Menu.Item aria-disabled={denial !== null || undefined} closeMenuOnClick={denial === null} {...(denial === null ? { onClick: onSelect } : {})}>
              {label}
            </Menu.Item>
          </Tooltip>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
