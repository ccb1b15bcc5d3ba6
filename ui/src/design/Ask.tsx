import * as Dialog from "@radix-ui/react-dialog";
import { useMutation } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useId, useState } from "react";
import { announce } from "./announcements";
import { useFocusReturn } from "./focus";
import { Trouble } from "./States";

interface AskProps {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  title: string;
  confirm: string;
  tone?: "bad";
  ready?: boolean;
  /** Does it, and gives what to say when it is done. */
  act: () => Promise<string>;
  children: ReactNode;
}

/** A question before a change: what will happen, and the two ways out. What the server refuses is said inside. */
export function Ask({ open, onOpenChange, title, confirm, tone, ready = true, act, children }: AskProps) {
  const change = useMutation({
    mutationFn: act,
    onSuccess: (said) => {
      announce(said);
      onOpenChange(false);
    },
  });
  const focus = useFocusReturn();
  const consequences = useId();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (ready && !change.isPending) change.mutate();
  };
  return (
    <Dialog.Root
      open={open}
      onOpenChange={(next) => {
        if (!next) change.reset();
        onOpenChange(next);
      }}
    >
      <Dialog.Portal>
        <Dialog.Overlay className="scrim" />
        <Dialog.Content className="ask" aria-describedby={consequences} {...focus}>
          <form onSubmit={submit}>
            <Dialog.Title>{title}</Dialog.Title>
            <div className="stack" id={consequences}>
              {children}
            </div>
            {change.error && <Trouble error={change.error} />}
            <footer>
              <Dialog.Close className="button">Cancel</Dialog.Close>
              <button type="submit" className={`button strong ${tone ?? ""}`} disabled={!ready || change.isPending}>
                {change.isPending ? "Working…" : confirm}
              </button>
            </footer>
          </form>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

export function Reason({ value, change, demanded }: { value: string; change: (text: string) => void; demanded?: boolean }) {
  const id = useId();
  return (
    <div className="labelled">
      <label htmlFor={id}>
        Reason <span className="third">{demanded ? "stays on record; it must be given" : "stays on record"}</span>
      </label>
      <input id={id} className="field" value={value} maxLength={500} required={demanded} onChange={(event) => change(event.target.value)} />
    </div>
  );
}

interface ActProps {
  /** The button's word, with … as it asks first. */
  label: string;
  /** What it is about, told to those who don't see the row that the button stands in. */
  about?: string;
  title: string;
  confirm: string;
  tone?: "bad";
  /** The one that a page leads to. */
  strong?: boolean;
  small?: boolean;
  withReason?: boolean;
  /** Why it can't be done now. */
  unable?: string | undefined;
  act: (reason: string) => Promise<string>;
  /** What will happen. */
  children: ReactNode;
}

/** A button that asks before it changes anything. */
export function Act({ label, about, title, confirm, tone, strong, small, withReason, unable, act, children }: ActProps) {
  const [open, setOpen] = useState(false);
  const [reason, setReason] = useState("");
  return (
    <>
      <button
        type="button"
        className={["button", tone, strong && "strong", small && "small"].filter(Boolean).join(" ")}
        disabled={!!unable}
        title={unable}
        aria-label={about && `${label} ${about}`}
        onClick={() => setOpen(true)}
      >
        {label}
      </button>
      <Ask open={open} onOpenChange={setOpen} title={title} confirm={confirm} {...(tone ? { tone } : {})} act={() => act(reason.trim())}>
        {children}
        {withReason && <Reason value={reason} change={setReason} />}
      </Ask>
    </>
  );
}
