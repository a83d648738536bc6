#!/usr/bin/env python3
"""Drives a guest's serial console: console.py DOMAIN <STEPS

Each line of STEPS is "expect REGEX", "send LINE" or "control LETTER". What the guest prints goes to
standard output. Ends with 1, and a line on standard error, when an expected text does not come.
"""

import os
import pty
import re
import select
import signal
import sys
import termios
import time

TIMEOUT_SECONDS = 60


class Console:
    """One `virsh console` on a pseudo-terminal, which virsh insists on."""

    def __init__(self, domain):
        self.unread = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp("virsh", ["virsh", "console", domain, "--force"])
        self.expect("Escape character is")
        # virsh drops what was typed before it made the terminal raw.
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while termios.tcgetattr(self.fd)[3] & termios.ICANON:
            if time.monotonic() > deadline:
                sys.exit("console: virsh does not take over its terminal")
            time.sleep(0.01)

    def expect(self, pattern):
        """Waits until the pattern is printed, and drops everything up to its end."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            match = re.search(pattern, self.unread)
            if match:
                self.unread = self.unread[match.end():]
                return
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                sys.exit(f"console: no {pattern!r} within {TIMEOUT_SECONDS} s")
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # what Linux reports once virsh has gone
                data = b""
            if not data:
                sys.exit(f"console: closed before {pattern!r}")
            sys.stdout.buffer.write(data)
            sys.stdout.flush()
            self.unread += data.decode(errors="replace")

    def send(self, line):
        os.write(self.fd, line.encode() + b"\r")

    def control(self, letter):
        os.write(self.fd, bytes([ord(letter.upper()) - 64]))

    def close(self):
        os.kill(self.pid, signal.SIGKILL)  # virsh holds on to its console through a SIGTERM
        os.waitpid(self.pid, 0)


def main():
    console = Console(sys.argv[1])
    try:
        for step in sys.stdin:
            verb, _, text = step.strip().partition(" ")
            getattr(console, verb)(text)
    finally:
        console.close()


if __name__ == "__main__":
    main()
