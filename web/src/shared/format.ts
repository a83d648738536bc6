const binaryUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Formats bytes: "17.8 MiB". */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < binaryUnits.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || value >= 100 || Number.isInteger(value) ? 0 : 1;
  return `${value.toFixed(digits)} ${binaryUnits[unit] ?? ""}`;
}

/** Formats RAM in MiB: "512 MiB", "2 GiB". */
export function formatRAM(mebibytes: number): string {
  return formatBytes(mebibytes * 1024 * 1024);
}

/** Formats a fraction as a percentage: "0.4 %", "12 %". */
export function formatPercent(share: number): string {
  const percent = share * 100;
  return `${percent > 0 && percent < 9.95 ? percent.toFixed(1) : percent.toFixed(0)} %`;
}

/** "1 CPU", "4 CPUs". */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Formats a duration in seconds: "8 s", "3 min", "1 h 20 min". */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) {
    return `${whole} s`;
  }
  const minutes = Math.round(whole / 60);
  if (minutes < 60) {
    return `${minutes} min`;
  }
  const hours = Math.floor(minutes / 60);
  return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
}

/** Formats an RFC 3339 time in the browser's time zone and locale. */
export function formatTime(time: string): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime())
    ? time
    : date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}
