import "./colors.css";
import "./Sparkline.css";

interface SparklineProps {
  values: readonly number[];
  /** The value at the top. */
  most: number;
  /** The accessible name: "CPU: 12 %". */
  label: string;
  color: "blue" | "teal";
}

const width = 80;
const height = 24;

/** A small line chart of recent values, the newest at the right. */
export function Sparkline({ values, most, label, color }: SparklineProps) {
  const points = values.map((value, index) => {
    const x = values.length < 2 ? width : (index / (values.length - 1)) * width;
    const y = height - 1.5 - Math.min(1, Math.max(0, value / (most || 1))) * (height - 3);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  return (
    <svg
      className="sl-spark"
      data-color={color}
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      {points.length > 1 && (
        <>
          <polygon points={`0,${height} ${points.join(" ")} ${width},${height}`} />
          <polyline points={points.join(" ")} />
        </>
      )}
    </svg>
  );
}
