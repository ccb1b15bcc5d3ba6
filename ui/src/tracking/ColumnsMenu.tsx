import * as Menu from "@radix-ui/react-dropdown-menu";
import type { RunColumn } from "./columns";

const FAMILIES = { run: "Run", metrics: "Metrics", params: "Parameters", tags: "Tags" } as const;

export function ColumnsMenu({ all, shown, change }: { all: RunColumn[]; shown: string[]; change: (ids: string[]) => void }) {
  const count = all.filter((column) => shown.includes(column.id)).length;
  return (
    <Menu.Root modal={false}>
      <Menu.Trigger className="button">
        Columns {count} of {all.length}
      </Menu.Trigger>
      <Menu.Portal>
        <Menu.Content className="menu" align="end" sideOffset={4}>
          {(["metrics", "params", "tags", "run"] as const).map((family) => {
            const columns = all.filter((column) => column.family === family);
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
        </Menu.Content>
      </Menu.Portal>
    </Menu.Root>
  );
}
