// Uploads a file with the stock tus client, as often as it takes: node tusclient.mjs ENDPOINT FILE SHA256
import { createReadStream, statSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(new URL("../../../web/package.json", import.meta.url));
const tus = require("tus-js-client");
const [endpoint, file, sha256] = process.argv.slice(2);

const upload = new tus.Upload(createReadStream(file), {
  endpoint,
  uploadSize: statSync(file).size,
  chunkSize: 8 << 20, // a stream can be sent again from within a chunk alone
  retryDelays: Array(200).fill(250),
  metadata: { filename: "tus.qcow2", sha256 },
  onError: (error) => {
    console.error(String(error));
    process.exit(1);
  },
  onSuccess: () => console.log(upload.url),
});
upload.start();
