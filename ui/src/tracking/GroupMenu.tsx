import * as Menu from "@radix-ui/react-dropdown-menu";
import { useState } from "react";
import { MenuSearch } from "../design/MenuSearch";

interface GroupMenuProps {
  all: { id: string; title: string }[];
  by: string | undefined;
  change: (by: string | undefined) => void;
}

const MANY = 12;

/** By what the runs are grouped. */
export function GroupMenu({ all, by, change }: GroupMenuProps) {
  const [typed, setTyped] = useState("");
  const title = all.find((one) => one.id === by)?.title ?? by;
  const found = all.filter((one) => one.title.toLowerCase().includes(typed.trim().toLowerCase()));
  return (
    <Menu.Root modal={false} onOpenChange={() => setTyped("")}>
      <Menu.Trigger className="button" data-on={!!by}>
        {by ? `Grouped by ${title}` : "Group"}
      </Menu.Trigger>
      <Menu.Portal>
        <Menu.Content className="menu" align="end" sideOffset={4}>
          {all.length > MANY && <MenuSearch value={typed} change={setTyped} label="Find a parameter" />}
          <Menu.RadioGroup value={by ?? ""} onValueChange={(value) => change(value || undefined)}>
            <Choice value="" title="Not grouped" />
            {found.map((one) => (
              <Choice key={one.id} value={one.id} title={one.title} mono={one.id.includes(".")} />
            ))}
          </Menu.RadioGroup>
        </Menu.Content>
      </Menu.Portal>
    </Menu.Root>
  );
}

function Choice({ value, title, mono }: { value: string; title: string; mono?: boolean }) {
  return (
    <Menu.RadioItem value={value}>
      <span className="tick">
        <Menu.ItemIndicator>✓</Menu.ItemIndicator>
      </span>
      <span className={mono ? "mono" : ""}>{title}</span>
    </Menu.RadioItem>
  );
}
