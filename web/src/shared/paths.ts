/** Every page's URL, in one place. */
export const paths = {
  login: "/login",
  nodes: "/nodes",
  newNode: "/nodes/new",
  images: "/images",
  account: "/account",
  node: (id: string) => `/nodes/${encodeURIComponent(id)}`,
  console: (id: string) => `/nodes/${encodeURIComponent(id)}/console`,
  log: (id: string) => `/nodes/${encodeURIComponent(id)}/log`,
  screen: (id: string) => `/nodes/${encodeURIComponent(id)}/screen`,
  newNodeFrom: (imageID: string) => `/nodes/new?image=${encodeURIComponent(imageID)}`,
} as const;
