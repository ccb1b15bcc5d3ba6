import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { figure } from "./format";
import { colour, useShade } from "./theme";

export interface Series {
  label: string;
  token: string;
  values: (number | null)[];
  dashed?: boolean;
  /** Lowest and highest value of each point, when it stands for several. */
  band?: { low: (number | null)[]; high: (number | null)[] };
}

interface ChartProps {
  x: number[];
  series: Series[];
  height?: number;
  time?: boolean;
  /** Charts of one group share the cursor. */
  group?: string;
  unit?: (value: number) => string;
  log?: boolean;
  label: string;
  /** What happened along the x axis: a dotted line with a sign on top. */
  marks?: ChartMark[];
}

export interface ChartMark {
  x: number;
  sign: string;
  token: string;
  label: string;
}

const NO_MARKS: ChartMark[] = [];
const [MINUTE, HOUR, DAY] = [60, 3_600, 86_400];
/** Steps of a time axis: never under the minute that its labels tell. */
const STEPS = [1, 2, 5, 10, 30].map((step) => step * MINUTE);
STEPS.push(...[1, 2, 3, 6, 12].map((step) => step * HOUR), ...[1, 2, 3, 7, 14, 30, 90, 365].map((step) => step * DAY));

/** Curves over one x axis. Drawn anew when their shape changes; new values only move the lines. */
export function Chart({ x, series, height = 170, time, group, unit, log, label, marks = NO_MARKS }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const shade = useShade();
  const lines = series.flatMap((one) => (one.band ? [one.values, one.band.low, one.band.high] : [one.values]));
  const values = roomy(x, [x, ...lines], time);
  const held = useRef(values);
  held.current = values;
  const shape = JSON.stringify([
    x.length < 2,
    series.map((one) => [one.label, one.token, one.dashed, !!one.band]),
    height,
    time,
    group,
    log,
    shade,
    marks,
  ]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: `shape` stands for everything that needs a new plot
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const axis: uPlot.Axis = {
      stroke: colour("third"),
      grid: { stroke: colour("line"), width: 1 },
      ticks: { show: false },
      font: "11px 'JetBrains Mono'",
    };
    const whole = x.every(Number.isInteger);
    const bands: uPlot.Band[] = [];
    const lines: uPlot.Series[] = [{ label: "x" }];
    for (const one of series) {
      const stroke = colour(one.token);
      lines.push({
        label: one.label,
        stroke,
        width: 1.5,
        dash: one.dashed ? [4, 4] : undefined,
        points: { size: 5, fill: stroke, show: (plot, at, from, to) => x.length < 2 || alone(plot.data[at] ?? [], from, to) },
        spanGaps: true,
      });
      if (!one.band) continue;
      const low = lines.length;
      const edge: uPlot.Series = { stroke: "transparent", width: 0, points: { show: false }, spanGaps: true };
      lines.push(edge, { ...edge });
      bands.push({ series: [low + 1, low], fill: stroke.replace("rgb(", "rgba(").replace(")", ", 0.14)") });
    }
    const made = new uPlot(
      {
        width: element.clientWidth || 300,
        height,
        padding: [marks.length ? 20 : 10, time ? 22 : 12, 0, 0],
        cursor: { sync: group ? { key: group } : undefined, points: { size: 6 }, y: false },
        legend: { show: false },
        scales: { x: { time: !!time }, y: { distr: log ? 3 : 1 } },
        axes: [
          {
            ...axis,
            grid: { show: false },
            size: 26,
            ...(time ? { incrs: STEPS, space: 62 } : {}),
            values: (_, marks, _axis, _space, step) =>
              marks.map((mark) => (time ? instant(mark, step) : whole && mark % 1 ? "" : figure(mark, 2))),
          },
          {
            ...axis,
            size: 58,
            values: (_, marks) => marks.map((mark) => (mark === null ? "" : (unit ?? ((v: number) => axisFigure(v)))(mark))),
          },
        ],
        series: lines,
        bands,
        plugins: [tooltip(unit ?? ((value: number) => figure(value))), signs(marks)],
      },
      held.current,
      element,
    );
    plot.current = made;
    const watcher = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    watcher.observe(element);
    return () => {
      watcher.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape]);

  useEffect(() => {
    plot.current?.setData(values);
  });

  return <div ref={place} className="chart" role="img" aria-label={label} style={{ height }} />;
}

/** One point alone has no range, and uPlot would draw three years around it: some room on both sides, without values. */
function roomy(x: number[], values: uPlot.AlignedData, time: boolean | undefined): uPlot.AlignedData {
  const [only] = x;
  if (x.length !== 1 || only === undefined) return values;
  const reach = time ? 300 : 1;
  const [, ...lines] = values;
  return [[only - reach, only, only + reach], ...lines.map((line) => [null, line[0] ?? null, null])];
}

/** A mark of a time axis on one line: the day where marks are days apart, else the clock of 24 hours. */
function instant(seconds: number, step: number): string {
  const at = new Date(seconds * 1000);
  const day = at.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  if (step >= 86_400 || (at.getHours() === 0 && at.getMinutes() === 0)) return day;
  return at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

const UNITS = [
  [1e9, 1e9, "G"],
  [1e6, 1e6, "M"],
  [1e4, 1e3, "k"],
] as const;

function axisFigure(value: number): string {
  const size = Math.abs(value);
  const unit = UNITS.find(([from]) => size >= from);
  if (unit) return `${figure(value / unit[1], 1).replace(/\.0+$/, "")} ${unit[2]}`;
  return figure(value, size < 0.1 ? 3 : 2);
}

/** Whether a series has no two values side by side: without a line, its points must be seen. */
function alone(values: ArrayLike<number | null | undefined>, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (typeof values[at] === "number" && typeof values[at + 1] === "number") return false;
  return true;
}

/** Signs above the plot, each with its line. */
function signs(marks: ChartMark[]): uPlot.Plugin {
  return {
    hooks: {
      draw: (plot) => {
        const { ctx, bbox } = plot;
        ctx.save();
        ctx.font = `${12 * devicePixelRatio}px Inter`;
        ctx.textAlign = "center";
        for (const mark of marks) {
          const x = plot.valToPos(mark.x, "x", true);
          if (x < bbox.left - 1 || x > bbox.left + bbox.width + 1) continue;
          ctx.strokeStyle = colour("strong-line");
          ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
          ctx.beginPath();
          ctx.moveTo(x, bbox.top);
          ctx.lineTo(x, bbox.top + bbox.height);
          ctx.stroke();
          ctx.fillStyle = colour(mark.token);
          ctx.fillText(mark.sign, x, bbox.top - 5 * devicePixelRatio);
        }
        ctx.restore();
      },
    },
  };
}

/** The values under the cursor, in a small box that stays inside the plot. */
function tooltip(written: (value: number) => string): uPlot.Plugin {
  const box = document.createElement("div");
  box.className = "tip number";
  Object.assign(box.style, {
    position: "absolute",
    pointerEvents: "none",
    display: "none",
    textAlign: "left",
    fontSize: "11px",
    whiteSpace: "pre",
  });
  return {
    hooks: {
      init: (plot) => plot.over.append(box),
      setCursor: (plot) => {
        const { idx, left = 0 } = plot.cursor;
        if (idx === null || idx === undefined || left < 0) {
          box.style.display = "none";
          return;
        }
        const lines = plot.series.slice(1).flatMap((one, position) => {
          const value = plot.data[position + 1]?.[idx];
          return one.label && one.width && value !== null && value !== undefined ? [`${written(value)}  ${String(one.label)}`] : [];
        });
        box.textContent = lines.slice(0, 8).join("\n");
        box.style.display = lines.length ? "block" : "none";
        const room = plot.over.clientWidth;
        box.style.left = left > room / 2 ? "auto" : `${left + 10}px`;
        box.style.right = left > room / 2 ? `${room - left + 10}px` : "auto";
        box.style.top = "4px";
      },
    },
  };
}

interface LegendProps {
  series: { label: string; token: string; dashed?: boolean }[];
  marks?: ChartMark[];
}

export function Legend({ series, marks = NO_MARKS }: LegendProps) {
  const signs = new Map(marks.map((mark) => [mark.label, mark]));
  return (
    <div className="legend">
      {series.map((one) => (
        <span key={one.label}>
          <i style={one.dashed ? { borderTop: `2px dotted var(--${one.token})`, height: 0 } : { background: `var(--${one.token})` }} />
          {one.label}
        </span>
      ))}
      {[...signs.values()].map((mark) => (
        <span key={mark.label}>
          <b style={{ color: `var(--${mark.token})` }}>{mark.sign}</b> {mark.label}
        </span>
      ))}
    </div>
  );
}
