import * as Dialog from "@radix-ui/react-dialog";
import { useNavigate, useRouter } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import { useRead } from "../api/queries";
import { useFocusReturn } from "../design/focus";
import { chooseTheme } from "../design/theme";
import { PAGES } from "./Layout";
import { type Findable, rank } from "./ranking";

interface Item extends Findable {
  go: () => void;
}

interface PaletteProps {
  project: string;
  open: boolean;
  onOpenChange: (open: boolean) => void;
}

/** `Ctrl K`: find anything by name, go there, or do something. */
export function Palette({ project, open, onOpenChange }: PaletteProps) {
  const focus = useFocusReturn();
  return (
    <Dialog.Root open={open} onOpenChange={onOpenChange}>
      <Dialog.Portal>
        <Dialog.Overlay className="scrim" />
        <Dialog.Content className="palette" aria-describedby={undefined} {...focus}>
          <Dialog.Title className="visually-hidden">Find anything or run a command</Dialog.Title>
          <Finder project={project} done={() => onOpenChange(false)} />
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

function Finder({ project, done }: { project: string; done: () => void }) {
  const [typed, setTyped] = useState("");
  const [at, setAt] = useState(0);
  const items = useItems(project);
  const typedItems = useTypedItems(project, typed);
  const found = useMemo(() => [...typedItems, ...rank(items, typed)], [items, typedItems, typed]);
  useEffect(() => {
    document.getElementById(`found-${at}`)?.scrollIntoView({ block: "nearest" });
  }, [at]);
  const take = (item: Item | undefined) => {
    if (!item) return;
    done();
    item.go();
  };
  return (
    <>
      <input
        // biome-ignore lint/a11y/noAutofocus: the palette is opened to type
        autoFocus
        role="combobox"
        aria-expanded="true"
        aria-controls="found"
        aria-activedescendant={`found-${at}`}
        placeholder="A page, an asset, late@7, a run, a prediction id…"
        value={typed}
        onChange={(event) => {
          setTyped(event.target.value);
          setAt(0);
        }}
        onKeyDown={(event) => {
          const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
          if (step) {
            event.preventDefault();
            setAt((at + step + found.length) % Math.max(found.length, 1));
          } else if (event.key === "Enter") take(found[at]);
        }}
      />
      <div className="found" id="found" role="listbox" aria-label="Found">
        {found.map((item, index) => (
          <div
            key={`${item.kind}-${item.label}`}
            id={`found-${index}`}
            role="option"
            tabIndex={-1}
            aria-selected={index === at}
            onMouseMove={() => setAt(index)}
            onClick={() => take(item)}
            onKeyDown={(event) => event.key === "Enter" && take(item)}
          >
            <span>{item.label}</span>
            {item.hint && <span className="third clip">{item.hint}</span>}
            <span className="kind">{item.kind}</span>
          </div>
        ))}
        {!found.length && <div className="third">Nothing is called “{typed}” here.</div>}
      </div>
      <footer>
        <span>↑↓ choose</span>
        <span>↵ go</span>
        <span>g then a letter goes to a page</span>
        <span>/ filters</span>
      </footer>
    </>
  );
}

function useItems(project: string): Item[] {
  const navigate = useNavigate();
  const assets = useRead("/api/v1/projects/{project}/assets", { project, limit: 1000 });
  const endpoints = useRead("/api/v1/projects/{project}/endpoints", { project });
  const runs = useRead("/api/v1/projects/{project}/runs", { project, limit: 200 });
  const views = useRead("/api/v1/projects/{project}/saved-views", { project });
  const { history } = useRouter();
  return useMemo(() => {
    const pages: Item[] = PAGES.map((page) => ({
      label: page.label,
      kind: "page",
      hint: `g ${page.key}`,
      go: () => void navigate({ to: page.to, params: { project } }),
    }));
    const named: Item[] = (assets.data?.items ?? []).map((asset) => ({
      label: asset.name,
      kind: asset.kind.replace("_", " "),
      hint: asset.latest ? `@${asset.latest}` : "no version yet",
      go: () => void navigate({ to: "/projects/$project/assets/$name", params: { project, name: asset.name } }),
    }));
    const served: Item[] = (endpoints.data?.items ?? []).map((endpoint) => ({
      label: endpoint.name,
      kind: "endpoint",
      hint: `answers with ${endpoint.model}@${endpoint.number}`,
      go: () => void navigate({ to: "/projects/$project/endpoints/$name", params: { project, name: endpoint.name } }),
    }));
    const executed: Item[] = (runs.data?.items ?? []).map((run) => ({
      label: run.name,
      kind: "run",
      hint: run.title ?? run.experiment ?? run.status,
      go: () => void navigate({ to: "/projects/$project/runs/$runId", params: { project, runId: run.id } }),
    }));
    const saved: Item[] = (views.data?.items ?? []).map((view) => ({
      label: view.name,
      kind: "view",
      hint: `of ${view.page}`,
      go: () => history.push(`/projects/${encodeURIComponent(project)}/${view.page}?${view.address}&view=${encodeURIComponent(view.name)}`),
    }));
    const commands: Item[] = (["light", "dark", "system"] as const).map((theme) => ({
      label: `Colours: ${theme}`,
      kind: "command",
      go: () => chooseTheme(theme),
    }));
    commands.push({
      label: "Copy this page's address",
      kind: "command",
      go: () => void navigator.clipboard.writeText(location.href).catch(() => undefined),
    });
    return [...pages, ...named, ...served, ...saved, ...executed, ...commands];
  }, [assets.data, endpoints.data, runs.data, views.data, navigate, history, project]);
}

/** What typed text names by itself: `late@7`, a run's or a prediction's id. */
function useTypedItems(project: string, typed: string): Item[] {
  const navigate = useNavigate();
  return useMemo(() => {
    const text = typed.trim();
    const version = /^([\w-]+)@([\w-]+)$/.exec(text);
    if (version) {
      const [, name = "", number = ""] = version;
      return [
        {
          label: text,
          kind: "version",
          go: () => void navigate({ to: "/projects/$project/assets/$name/$number", params: { project, name, number } }),
        },
      ];
    }
    if (/^run_\w+/.test(text))
      return [
        { label: text, kind: "run", go: () => void navigate({ to: "/projects/$project/runs/$runId", params: { project, runId: text } }) },
      ];
    if (/^(p|pred)_[\w-]+/.test(text))
      return [
        {
          label: text,
          kind: "prediction",
          go: () => void navigate({ to: "/projects/$project/predictions/$predictionId", params: { project, predictionId: text } }),
        },
      ];
    return [];
  }, [typed, navigate, project]);
}
