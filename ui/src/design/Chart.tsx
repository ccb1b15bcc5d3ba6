import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { figure, moment, partsOf, zoneOfPage } from "./format";
import { colour, useShade } from "./theme";

export interface Series {
  label: string;
  token: string;
  values: (number | null)[];
  dashed?: boolean;
  /** Not drawn itself: its values are read under the cursor only. */
  quiet?: boolean;
  /** Interrupted where there is no value, rather than drawn across. */
  broken?: boolean;
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
  /** Lines that decide, drawn across with their words. */
  lines?: ChartLine[];
  /** Spans with one value and its interval each, such as a window that was looked at. */
  windows?: ChartWindow[];
  /** The least that the x axis shows, so that what is still to come has its place. */
  reach?: [number, number];
  /** The y axis as it must be, where a wide beginning would flatten the rest. */
  between?: [number, number];
}

export interface ChartLine {
  y: number;
  token: string;
  label: string;
  dashed?: boolean;
  /** Words stand above their line unless it is the lower of two. */
  below?: boolean;
}

export interface ChartWindow {
  from: number;
  to: number;
  value: number;
  low: number;
  high: number;
  token: string;
}

export interface ChartMark {
  x: number;
  sign: string;
  token: string;
  label: string;
}

const NO_MARKS: ChartMark[] = [];
const NO_LINES: ChartLine[] = [];
const NO_WINDOWS: ChartWindow[] = [];
const [MINUTE, HOUR, DAY] = [60, 3_600, 86_400];
/** Steps of a time axis: never under the minute that its labels tell. */
const STEPS = [1, 2, 5, 10, 30].map((step) => step * MINUTE);
STEPS.push(...[1, 2, 3, 6, 12].map((step) => step * HOUR), ...[1, 2, 3, 7, 14, 30, 90, 365].map((step) => step * DAY));

/** Curves over one x axis. Drawn anew when their shape changes; new values only move the lines. */
export function Chart(props: ChartProps) {
  const { x, series, height = 170, time, group, unit, log, label, marks = NO_MARKS, reach, between } = props;
  const { lines: deciding = NO_LINES, windows = NO_WINDOWS } = props;
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const shade = useShade();
  const lines = series.flatMap((one) => (one.band ? [one.values, one.band.low, one.band.high] : [one.values]));
  const values = roomy(x, [x, ...lines], time);
  const held = useRef(values);
  held.current = values;
  const shape = JSON.stringify([
    x.length < 2,
    series.map((one) => [one.label, one.token, one.dashed, one.broken, !!one.band]),
    height,
    time,
    group,
    log,
    shade,
    marks,
    deciding,
    windows,
    reach,
    between,
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
    const heights = [...deciding.map((one) => one.y), ...windows.flatMap((one) => [one.low, one.high])];
    const bands: uPlot.Band[] = [];
    const lines: uPlot.Series[] = [{ label: "x" }];
    for (const one of series) {
      const stroke = colour(one.token);
      lines.push({
        label: one.label,
        stroke,
        width: 1.5,
        dash: one.dashed ? [4, 4] : undefined,
        paths: one.quiet ? () => null : undefined,
        points: one.quiet
          ? { show: false }
          : { size: 5, fill: stroke, show: (plot, at, from, to) => x.length < 2 || alone(plot.data[at] ?? [], from, to) },
        spanGaps: !one.broken,
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
        scales: {
          x: {
            time: !!time,
            ...(reach
              ? {
                  range: (_: uPlot, low: number, high: number) =>
                    [Math.min(low ?? reach[0], reach[0]), Math.max(high ?? reach[1], reach[1])] as [number, number],
                }
              : {}),
          },
          y: {
            distr: log ? 3 : 1,
            ...(between
              ? { range: between }
              : heights.length && !log
                ? { range: (_: uPlot, low: number, high: number) => roomFor(low, high, heights) }
                : {}),
          },
        },
        tzDate: (seconds: number) => uPlot.tzDate(new Date(seconds * 1000), zoneOfPage()),
        axes: [
          {
            ...axis,
            grid: { show: false },
            size: 26,
            ...(time ? { incrs: STEPS, space: 62 } : {}),
            values: (_, marks, _axis, _space, step) =>
              told(marks.map((mark) => (time ? instant(mark, step) : whole && mark % 1 ? "" : figure(mark, 2)))),
          },
          {
            ...axis,
            values: (_, marks) => {
              const step = marks.length > 1 ? Math.abs((marks[1] as number) - (marks[0] as number)) : 0;
              const texts = marks.map((mark) => (mark === null ? "" : (unit ?? ((value: number) => axisFigure(value, step)))(mark)));
              return told(texts);
            },
            size: (_, texts) => Math.max(46, 14 + 6.7 * Math.max(0, ...(texts ?? []).map((text) => text.length))),
          },
        ],
        series: lines,
        bands,
        plugins: [tooltip(unit ?? ((value: number) => figure(value)), time), signs(marks), spans(windows), across(deciding)],
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

/** A mark of a time axis on one line, by the page's clock: the day where marks are days apart, else the clock of 24 hours. */
function instant(seconds: number, step: number): string {
  const parts = partsOf(new Date(seconds * 1000));
  if (step >= 300 * 86_400) return parts.year;
  if (step >= 86_400 || (parts.hour === "00" && parts.minute === "00")) return `${parts.day} ${parts.month}`;
  return `${parts.hour}:${parts.minute}`;
}

/** A label that says the same as the one before it says nothing. */
export function told(labels: string[]): string[] {
  return labels.map((label, at) => (at > 0 && label === labels[at - 1] ? "" : label));
}

/** The range of values with the lines that decide in it, and some air. */
function roomFor(low: number | null, high: number | null, lines: number[]): [number, number] {
  const [least, most] = [Math.min(...lines, ...(low === null ? [] : [low])), Math.max(...lines, ...(high === null ? [] : [high]))];
  const air = (most - least || Math.abs(most) || 1) * 0.1;
  return [least - air, most + air];
}

const UNITS = [
  [1e9, 1e9, "G"],
  [1e6, 1e6, "M"],
  [1e4, 1e3, "k"],
] as const;

/** A mark with as many digits as it takes to tell it from its neighbours, `step` away. */
export function axisFigure(value: number, step = 0): string {
  const unit = UNITS.find(([from]) => Math.abs(value) >= from);
  const scaled = unit ? value / unit[1] : value;
  const digits = digitsOf(unit ? step / unit[1] : step);
  const text =
    step && Math.abs(scaled) < 1e4
      ? `${scaled < 0 ? "−" : ""}${Math.abs(scaled).toFixed(unit && Number.isInteger(scaled) ? 0 : digits)}`
      : figure(scaled, 2);
  return unit ? `${text} ${unit[2]}` : text;
}

function digitsOf(step: number): number {
  for (let digits = 0; digits < 6; digits++) if (Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) < 1e-6) return digits;
  return 6;
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

/** Lines that decide, with their words at the right end. */
function across(lines: ChartLine[]): uPlot.Plugin {
  return {
    hooks: {
      draw: (plot) => {
        const { ctx, bbox } = plot;
        ctx.save();
        ctx.font = `${11 * devicePixelRatio}px Inter`;
        ctx.textAlign = "right";
        for (const line of lines) {
          const y = plot.valToPos(line.y, "y", true);
          if (y < bbox.top - 1 || y > bbox.top + bbox.height + 1) continue;
          ctx.strokeStyle = colour(line.token);
          ctx.lineWidth = devicePixelRatio;
          ctx.setLineDash(line.dashed ? [4 * devicePixelRatio, 4 * devicePixelRatio] : []);
          ctx.beginPath();
          ctx.moveTo(bbox.left, y);
          ctx.lineTo(bbox.left + bbox.width, y);
          ctx.stroke();
          const [right, baseline] = [bbox.left + bbox.width - 4 * devicePixelRatio, y + (line.below ? 14 : -6) * devicePixelRatio];
          // An edge of paper around the words: another line, a band or the grid may run behind them.
          ctx.setLineDash([]);
          ctx.lineJoin = "round";
          ctx.lineWidth = 3 * devicePixelRatio;
          ctx.strokeStyle = colour("surface");
          ctx.strokeText(line.label, right, baseline);
          ctx.fillStyle = colour(line.token);
          ctx.fillText(line.label, right, baseline);
        }
        ctx.restore();
      },
    },
  };
}

/** A window's value as a line as long as the window, its interval as a band behind it. */
function spans(windows: ChartWindow[]): uPlot.Plugin {
  return {
    hooks: {
      draw: (plot) => {
        const { ctx } = plot;
        ctx.save();
        for (const one of windows) {
          const [left, right] = [plot.valToPos(one.from, "x", true), plot.valToPos(one.to, "x", true)];
          const [top, bottom, middle] = [one.high, one.low, one.value].map((value) => plot.valToPos(value, "y", true)) as [
            number,
            number,
            number,
          ];
          const stroke = colour(one.token);
          ctx.fillStyle = stroke.replace("rgb(", "rgba(").replace(")", ", 0.16)");
          ctx.fillRect(left, top, right - left, bottom - top);
          ctx.strokeStyle = stroke;
          ctx.lineWidth = 1.5 * devicePixelRatio;
          ctx.beginPath();
          ctx.moveTo(left, middle);
          ctx.lineTo(right, middle);
          ctx.stroke();
        }
        ctx.restore();
      },
    },
  };
}

/** The values under the cursor, in a small box that stays inside the plot. */
function tooltip(written: (value: number) => string, time: boolean | undefined): uPlot.Plugin {
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
        const at = plot.data[0][idx];
        const when = time && at !== undefined ? [moment(new Date(at * 1000).toISOString())] : [];
        box.textContent = [...lines.slice(0, 8), ...when].join("\n");
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
