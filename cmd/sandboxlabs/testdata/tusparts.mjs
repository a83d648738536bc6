// Uploads a file in three parts at once with the stock tus client: node tusparts.mjs ENDPOINT FILE SHA256
import { createReadStream } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(new URL("../../../web/package.json", import.meta.url));
const tus = require("tus-js-client");
const [endpoint, file, sha256] = process.argv.slice(2);

const upload = new tus.Upload(createReadStream(file), {
  endpoint,
  parallelUploads: 3,
  chunkSize: 8 << 20,
  metadata: { filename: "parts.qcow2", sha256 },
  onError: (error) => {
    console.error(String(error));
    process.exit(1);
  },
  onSuccess: () => console.log(upload.url),
});
upload.start();
