import { formatDuration, formatTime } from "../format";
import { useNow } from "../useNow";

/** How long ago an RFC 3339 time was, with the exact time on hover. */
export function Ago({ time }: { time: string }) {
  const now = useNow(30_000);
  const seconds = (now - new Date(time).getTime()) / 1000;
  return (
    <time dateTime={time} title={formatTime(time)}>
      {seconds < 45 ? "just now" : seconds < 86_400 ? `${formatDuration(seconds)} ago` : formatTime(time)}
    </time>
  );
}
