import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { moment } from "../design/format";
import { Pill, type Tone } from "../design/Pill";
import { useProject } from "../shell/root";
import type { Alert } from "./looks";

export function MonitorLink({ name, children }: { name: string; children?: ReactNode }) {
  const project = useProject();
  return (
    <Link to="/projects/$project/monitors/$name" params={{ project, name }}>
      {children ?? name}
    </Link>
  );
}

export function AlertLink({ alert, children }: { alert: Pick<Alert, "id">; children: ReactNode }) {
  const project = useProject();
  return (
    <Link to="/projects/$project/alerts/$alert" params={{ project, alert: String(alert.id) }}>
      {children}
    </Link>
  );
}

const STATE_TONES: Record<Alert["state"], Tone> = { open: "bad", acknowledged: "info", silenced: "quiet", resolved: "ok" };

export function AlertState({ alert }: { alert: Alert }) {
  return (
    <Pill tone={STATE_TONES[alert.state]}>
      {alert.state}
      {alert.state === "silenced" && ` until ${moment(alert.silenced_until)}`}
    </Pill>
  );
}
