const windowMilliseconds = 5_000;

/** Measures how fast an upload goes, over the last five seconds. */
export class RateMeter {
  private samples: { at: number; sent: number }[] = [];

  /** Notes that sent bytes had gone at a time in milliseconds. */
  note(at: number, sent: number): void {
    this.samples.push({ at, sent });
    // The oldest sample within the window stays, and one before it.
    while (this.samples.length > 2 && (this.samples[1]?.at ?? at) < at - windowMilliseconds) {
      this.samples.shift();
    }
  }

  /** Bytes per second; 0 before there is anything to measure. */
  rate(): number {
    const first = this.samples[0];
    const last = this.samples.at(-1);
    if (!first || !last || last.at <= first.at) {
      return 0;
    }
    return ((last.sent - first.sent) * 1000) / (last.at - first.at);
  }
}

/** Seconds until the rest is sent at a rate in bytes per second; null when that cannot be told. */
export function secondsLeft(total: number, sent: number, rate: number): number | null {
  return rate > 0 ? Math.max(0, total - sent) / rate : null;
}
