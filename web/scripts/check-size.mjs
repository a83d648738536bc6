// Fails if the first load of the UI exceeds its limit: all scripts and styles that index.html
// loads, including static imports, compressed.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const limit = 350 * 1024;
const dist = join(import.meta.dirname, "..", "dist");

/** @type {Record<string, {file: string, isEntry?: boolean, imports?: string[], css?: string[]}>} */
const manifest = JSON.parse(readFileSync(join(dist, ".vite", "manifest.json"), "utf8"));

/** @type {Set<string>} */
const files = new Set(["index.html"]);
/** @param {string} key */
function collect(key) {
  const chunk = manifest[key];
  if (!chunk || files.has(chunk.file)) {
    return;
  }
  files.add(chunk.file);
  chunk.css?.forEach((file) => files.add(file));
  chunk.imports?.forEach(collect);
}
for (const [key, chunk] of Object.entries(manifest)) {
  if (chunk.isEntry) {
    collect(key);
  }
}

let total = 0;
for (const file of files) {
  const size = gzipSync(readFileSync(join(dist, file))).length;
  total += size;
  console.log(`${(size / 1024).toFixed(1).padStart(8)} KiB  ${file}`);
}
console.log(`${(total / 1024).toFixed(1).padStart(8)} KiB  first load, of ${limit / 1024} at most`);
if (total > limit) {
  console.error("The first load is too large: load code that not every visitor needs on demand.");
  process.exit(1);
}
