import * as Menu from "@radix-ui/react-dropdown-menu";
import { useState } from "react";
import { MenuSearch } from "../design/MenuSearch";
import type { Family, RunColumn } from "./columns";

const FAMILIES: Record<Family, string> = {
  metrics: "Metrics, the last value",
  minimum: "Metrics, the lowest value",
  maximum: "Metrics, the highest value",
  params: "Parameters",
  tags: "Tags",
  run: "Run",
};
const ORDER: Family[] = ["metrics", "minimum", "maximum", "params", "tags", "run"];
const MANY = 12;

/** Which columns the table shows. */
export function ColumnsMenu({ all, shown, change }: { all: RunColumn[]; shown: string[]; change: (ids: string[] | undefined) => void }) {
  const [typed, setTyped] = useState("");
  const count = all.filter((column) => shown.includes(column.id)).length;
  const found = all.filter((column) => column.id.toLowerCase().includes(typed.trim().toLowerCase()));
  return (
    <Menu.Root modal={false} onOpenChange={() => setTyped("")}>
      <Menu.Trigger className="button">
        Columns {count} of {all.length}
      </Menu.Trigger>
      <Menu.Portal>
        <Menu.Content className="menu" align="end" sideOffset={4}>
          {all.length > MANY && <MenuSearch value={typed} change={setTyped} label="Find a column" />}
          {ORDER.map((family) => {
            const columns = found.filter((column) => column.family === family);
            if (!columns.length) return null;
            return (
              <Menu.Group key={family}>
                <Menu.Label className="label">{FAMILIES[family]}</Menu.Label>
                {columns.map((column) => (
                  <Menu.CheckboxItem
                    key={column.id}
                    checked={shown.includes(column.id)}
                    onSelect={(event) => event.preventDefault()}
                    onCheckedChange={(on) => change(on ? [...shown, column.id] : shown.filter((id) => id !== column.id))}
                  >
                    <span className="tick">
                      <Menu.ItemIndicator>✓</Menu.ItemIndicator>
                    </span>
                    <span className={family === "run" ? "" : "mono"}>{column.title}</span>
                  </Menu.CheckboxItem>
                ))}
              </Menu.Group>
            );
          })}
          {!found.length && <div className="label">No column is called “{typed}”.</div>}
          <Menu.Separator className="line" />
          <Menu.Item onSelect={() => change(undefined)}>
            <span className="tick" />
            As at first
          </Menu.Item>
        </Menu.Content>
      </Menu.Portal>
    </Menu.Root>
  );
}
