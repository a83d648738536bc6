/** Returns where and why XML is not well-formed; empty if it is well-formed and describes a domain. */
export function xmlProblem(text: string): string {
  const parsed = new DOMParser().parseFromString(text, "application/xml");
  const error = parsed.querySelector("parsererror");
  if (error) {
    const said = error.textContent;
    // Chromium and Safari say "error on line 3 at column 5: …", Firefox "… Line Number 3, Column 5: …".
    const [, line, reason] = /line (\d+) at column \d+: ([^\n]+)/.exec(said) ?? [];
    const [, otherLine] = /Line Number (\d+)/.exec(said) ?? [];
    return line !== undefined && reason !== undefined
      ? `Line ${line}: ${reason.replace(/\.?:? ?(error status.*|Below is a rendering.*)/, "").trim()}.`
      : `Not well-formed XML${otherLine === undefined ? "" : ` (line ${otherLine})`}.`;
  }
  const root = parsed.documentElement.nodeName;
  return root === "domain" ? "" : "The root element must be <domain>.";
}
