import { type PointerEvent, useState } from "react";

import { type Point, nearest, niceTop, runsOf } from "./chart";
import "./colors.css";
import "./TimeChart.css";

/** One line of a chart. */
export interface Series {
  name: string;
  color: "blue" | "teal" | "orange";
  points: readonly Point[];
}

interface TimeChartProps {
  title: string;
  /** One or two lines with the same unit. */
  series: readonly Series[];
  /** The value at the top; by default the next round value above all points. */
  top?: number;
  isBytes?: boolean;
  format: (value: number) => string;
  /** The time range; milliseconds since 1970. */
  from: number;
  until: number;
  /** Milliseconds between two points. */
  interval: number;
}

const width = 400;
const height = 100;

/** A line chart over time. The newest values, or those under the pointer, are shown above it. */
export function TimeChart({ title, series, top, isBytes = false, format, from, until, interval }: TimeChartProps) {
  const [at, setAt] = useState<number | null>(null);
  const highest = Math.max(0, ...series.flatMap(({ points }) => points.map(({ value }) => value)));
  const most = Math.max(top ?? 0, niceTop(highest, isBytes) * (highest > (top ?? 0) ? 1 : 0)) || 1;
  const x = (time: number) => ((time - from) / (until - from)) * width;
  const y = (value: number) => height - (Math.min(value, most) / most) * height;
  const pointed = at === null ? undefined : nearest(series[0]?.points ?? [], at, interval * 1.5);
  const shown = series.map(({ points, ...one }) => ({
    ...one,
    point: pointed ? nearest(points, pointed.time, interval * 0.5) : points.at(-1),
  }));
  const follow = (event: PointerEvent) => {
    const box = event.currentTarget.getBoundingClientRect();
    setAt(from + ((event.clientX - box.left) / box.width) * (until - from));
  };
  const summary = series
    .map(({ name, points }) => `${name} ${points.length === 0 ? "unknown" : format(points.at(-1)?.value ?? 0)}`)
    .join(", ");
  return (
    <figure className="sl-chart" data-chart={title}>
      <figcaption className="sl-chart__head">
        <b>{title}</b>
        {shown.map(({ name, color, point }) => (
          <span key={name} className="sl-chart__value" data-color={color}>
            <span className="sl-chart__key" aria-hidden />
            {series.length > 1 && <span className="sl-subtle">{name}</span>} {point ? format(point.value) : "–"}
          </span>
        ))}
        <span className="sl-chart__when sl-subtle">
          {pointed && new Date(pointed.time).toLocaleTimeString(undefined, { timeStyle: "short" })}
        </span>
      </figcaption>
      <div className="sl-chart__plot">
        <span className="sl-chart__label sl-chart__label--top" aria-hidden>
          {format(most)}
        </span>
        <svg
          viewBox={`0 0 ${width} ${height}`}
          preserveAspectRatio="none"
          role="img"
          aria-label={`${title} in the last hour: ${summary}; at most ${format(highest)}`}
          onPointerMove={follow}
          onPointerLeave={() => setAt(null)}
        >
          {[0, 0.5, 1].map((share) => (
            <line key={share} className="sl-chart__grid" x1={0} x2={width} y1={share * height} y2={share * height} />
          ))}
          {series.map(({ name, color, points }) => (
            <g key={name} data-color={color}>
              {runsOf(points, interval * 2.5).map((run) => {
                const line = run.map(({ time, value }) => `${x(time).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
                const [first, last] = [x(run[0]?.time ?? from), x(run.at(-1)?.time ?? from)];
                return (
                  <g key={first}>
                    {series.length === 1 && <polygon points={`${first},${height} ${line} ${last},${height}`} />}
                    <polyline points={line} />
                  </g>
                );
              })}
            </g>
          ))}
          {pointed && (
            <line className="sl-chart__pointer" x1={x(pointed.time)} x2={x(pointed.time)} y1={0} y2={height} />
          )}
        </svg>
      </div>
      <div className="sl-chart__axis sl-subtle" aria-hidden>
        <span>1 h ago</span>
        <span>30 min</span>
        <span>now</span>
      </div>
    </figure>
  );
}
