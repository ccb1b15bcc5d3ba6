import * as Menu from "@radix-ui/react-dropdown-menu";
import { useRouter } from "@tanstack/react-router";
import { useId, useState } from "react";
import { useRead } from "../api/queries";
import { useWrite } from "../api/writes";
import { Ask } from "../design/Ask";
import { announce } from "../design/announcements";
import { moment } from "../design/format";
import { useProject } from "../shell/root";
import { type Kept, keptOf, slugOf } from "./views";

const PAGE = "runs";

interface ViewsMenuProps {
  /** The view that the page was opened with, and how it is set now. */
  view: string | undefined;
  kept: Kept;
}

/** Views are the page's address under a name that the whole project shares. */
export function ViewsMenu({ view, kept }: ViewsMenuProps) {
  const project = useProject();
  const router = useRouter();
  const saved = useRead("/api/v1/projects/{project}/saved-views", { project });
  const save = useWrite("PUT", "/api/v1/projects/{project}/saved-views/{name}");
  const [asking, ask] = useState<"save" | "delete" | null>(null);
  const views = saved.data?.items.filter((one) => one.page === PAGE) ?? [];
  const current = views.find((one) => one.name === view);
  const address = router.options.stringifySearch(kept).replace(/^\?/, "");
  const changed = current && router.options.stringifySearch(keptOf(router.options.parseSearch(`?${current.address}`))) !== `?${address}`;
  const open = (search: string, name: string | undefined) => {
    const shown = router.options.stringifySearch({ ...router.options.parseSearch(`?${search}`), ...(name ? { view: name } : {}) });
    router.history.push(`/projects/${encodeURIComponent(project)}/${PAGE}${shown}`);
  };
  return (
    <>
      <Menu.Root modal={false}>
        <Menu.Trigger className="button" data-on={!!current}>
          {current ? `${current.name}${changed ? " (changed)" : ""}` : "Views"} <span aria-hidden="true">▾</span>
        </Menu.Trigger>
        <Menu.Portal>
          <Menu.Content className="menu" align="end" sideOffset={4}>
            <Menu.Item onSelect={() => open("", undefined)}>
              <span className="tick">{current ? "" : "✓"}</span>
              All runs, newest first
            </Menu.Item>
            {views.map((one) => (
              <Menu.Item key={one.name} onSelect={() => open(one.address, one.name)} title={`${moment(one.saved_at)} by ${one.saved_by}`}>
                <span className="tick">{one === current ? "✓" : ""}</span>
                {one.name}
              </Menu.Item>
            ))}
            <Menu.Separator className="line" />
            {current && changed && (
              <Menu.Item
                onSelect={() =>
                  void save({ project, name: current.name }, { page: PAGE, address }).then(
                    () => announce(`The view ${current.name} is as you see it now.`),
                    (error: Error) => announce(error.message),
                  )
                }
              >
                <span className="tick" />
                Save the changes into {current.name}
              </Menu.Item>
            )}
            <Menu.Item onSelect={() => ask("save")}>
              <span className="tick" />
              Save as a view…
            </Menu.Item>
            <Menu.Item
              onSelect={() => void navigator.clipboard.writeText(location.href).then(() => announce("The address is in the clipboard."))}
            >
              <span className="tick" />
              Copy the address
            </Menu.Item>
            {current && (
              <Menu.Item onSelect={() => ask("delete")}>
                <span className="tick" />
                Delete {current.name}…
              </Menu.Item>
            )}
          </Menu.Content>
        </Menu.Portal>
      </Menu.Root>
      {asking === "save" && (
        <SaveView
          taken={views.map((one) => one.name)}
          address={address}
          done={(name) => name && open(address, name)}
          close={() => ask(null)}
        />
      )}
      {asking === "delete" && current && <DeleteView name={current.name} done={() => open(address, undefined)} close={() => ask(null)} />}
    </>
  );
}

interface SaveViewProps {
  taken: string[];
  address: string;
  done: (name: string) => void;
  close: () => void;
}

function SaveView({ taken, address, done, close }: SaveViewProps) {
  const project = useProject();
  const save = useWrite("PUT", "/api/v1/projects/{project}/saved-views/{name}");
  const [typed, setTyped] = useState("");
  const id = useId();
  const name = slugOf(typed);
  return (
    <Ask
      open
      onOpenChange={(open) => !open && close()}
      title="Save how the runs are shown"
      confirm={taken.includes(name) ? "Replace it" : "Save"}
      ready={!!name}
      act={async () => {
        await save({ project, name }, { page: PAGE, address });
        done(name);
        return `The view ${name} is saved for everyone in ${project}.`;
      }}
    >
      <div className="labelled">
        <label htmlFor={id}>Name</label>
        <input id={id} className="field" value={typed} maxLength={100} onChange={(event) => setTyped(event.target.value)} />
        <span className="third" aria-live="polite">
          {name && name !== typed.trim() ? `as ${name}. ` : ""}
          {taken.includes(name)
            ? "There is a view of that name; it will be replaced."
            : "Filter, order, columns and grouping, for the whole project."}
        </span>
      </div>
    </Ask>
  );
}

function DeleteView({ name, done, close }: { name: string; done: () => void; close: () => void }) {
  const project = useProject();
  const remove = useWrite("DELETE", "/api/v1/projects/{project}/saved-views/{name}");
  return (
    <Ask
      open
      onOpenChange={(open) => !open && close()}
      title={`Delete the view ${name}?`}
      confirm="Delete"
      tone="bad"
      act={async () => {
        await remove({ project, name }, undefined);
        done();
        return `The view ${name} is gone.`;
      }}
    >
      <p className="second">It goes for everyone in {project}. The runs stay, and so does every address that was copied.</p>
    </Ask>
  );
}
