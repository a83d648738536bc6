const windowMilliseconds = 5_000;

/** Measures the rate of an upload over the last five seconds. */
export class RateMeter {
  private samples: { at: number; sent: number }[] = [];

  /** Records the number of bytes sent at a time in milliseconds. */
  note(at: number, sent: number): void {
    this.samples.push({ at, sent });
    // Keep the samples of the window and one before it.
    while (this.samples.length > 2 && (this.samples[1]?.at ?? at) < at - windowMilliseconds) {
      this.samples.shift();
    }
  }

  /** Bytes per second; 0 until there are two samples. */
  rate(): number {
    const first = this.samples[0];
    const last = this.samples.at(-1);
    if (!first || !last || last.at <= first.at) {
      return 0;
    }
    return ((last.sent - first.sent) * 1000) / (last.at - first.at);
  }
}

/** Returns the seconds until the rest is sent at a rate in bytes per second; null if unknown. */
export function secondsLeft(total: number, sent: number, rate: number): number | null {
  return rate > 0 ? Math.max(0, total - sent) / rate : null;
}
