/** Every page's URL, in one place. */
export const paths = {
  home: "/",
  login: "/login",
  nodes: "/nodes",
  newNode: "/nodes/new",
  images: "/images",
  account: "/account",
  node: (id: string) => `/nodes/${encodeURIComponent(id)}`,
  console: (id: string) => `/nodes/${encodeURIComponent(id)}/console`,
  log: (id: string) => `/nodes/${encodeURIComponent(id)}/log`,
  screen: (id: string) => `/nodes/${encodeURIComponent(id)}/screen`,
  guacamole: (id: string) => `/nodes/${encodeURIComponent(id)}/guacamole`,
  nodesOn: (host: string) => `/nodes?host=${encodeURIComponent(host)}`,
  nodesWith: (facet: string, value: string) => `/nodes?${facet}=${encodeURIComponent(value)}`,
  nodesThatAre: (state: string) => `/nodes?state=${state}`,
  image: (id: string) => `/images?image=${encodeURIComponent(id)}`,
  newNodeFrom: (imageID: string) => `/nodes/new?image=${encodeURIComponent(imageID)}`,
} as const;
