/** One measured value; time in milliseconds since 1970. */
export interface Point {
  time: number;
  value: number;
}

/** Returns the smallest round value that is at least most: 1, 2 or 5 times a power of ten, or for bytes a power of two. */
export function niceTop(most: number, isBytes: boolean): number {
  if (!(most > 0)) {
    return isBytes ? 1024 : 1;
  }
  if (isBytes) {
    return Math.max(1024, 2 ** Math.ceil(Math.log2(most)));
  }
  const power = 10 ** Math.floor(Math.log10(most));
  return power * ([1, 2, 5].find((step) => step * power >= most) ?? 10);
}

/** Splits points at gaps: pauses that are longer than `longest` milliseconds. */
export function runsOf(points: readonly Point[], longest: number): Point[][] {
  const runs: Point[][] = [];
  let last = -Infinity;
  for (const point of points) {
    const run = runs.at(-1);
    if (run && point.time - last <= longest) {
      run.push(point);
    } else {
      runs.push([point]);
    }
    last = point.time;
  }
  return runs;
}

/** Returns the point nearest to a time, if it is at most `most` milliseconds away. */
export function nearest(points: readonly Point[], time: number, most: number): Point | undefined {
  let best: Point | undefined;
  for (const point of points) {
    const distance = Math.abs(point.time - time);
    if (distance <= most && (!best || distance < Math.abs(best.time - time))) {
      best = point;
    }
  }
  return best;
}
