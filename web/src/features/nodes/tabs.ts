/** The views of a node's page in display order; each is a part of the URL. */
export const nodeTabs = [
  { tab: "overview", text: "Overview" },
  { tab: "console", text: "Console" },
  { tab: "screen", text: "Screen" },
  { tab: "both", text: "Side by side" },
  { tab: "log", text: "Log" },
  { tab: "disks", text: "Disks" },
  { tab: "snapshots", text: "Snapshots" },
  { tab: "networks", text: "Networks" },
  { tab: "sharing", text: "Sharing" },
  { tab: "events", text: "Events" },
  { tab: "xml", text: "XML" },
] as const;

export type NodeTab = (typeof nodeTabs)[number]["tab"];

/** The views that fill the page. */
export const paneTabs = ["console", "screen", "both", "log"] as const;
export type PaneTab = (typeof paneTabs)[number];

export function isPaneTab(tab: NodeTab): tab is PaneTab {
  return (paneTabs as readonly NodeTab[]).includes(tab);
}

/** Parses the part of a URL; null if the view does not exist. */
export function readTab(part: string | undefined): NodeTab | null {
  return nodeTabs.find(({ tab }) => tab === (part ?? "overview"))?.tab ?? null;
}
