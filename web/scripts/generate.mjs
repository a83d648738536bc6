// Writes src/shared/api/schema.ts from openapi.json, which the service prints:
// bin/sandboxlabs openapi > web/openapi.json
// With --check it writes nothing, and fails if the file is outdated.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import openapiTS, { COMMENT_HEADER, astToString } from "openapi-typescript";

const web = join(import.meta.dirname, "..");
const schema = join(web, "src", "shared", "api", "schema.ts");

const nodes = await openapiTS(readFileSync(join(web, "openapi.json"), "utf8"));
const generated = COMMENT_HEADER + astToString(nodes);
if (!process.argv.includes("--check")) {
  writeFileSync(schema, generated);
} else if (readFileSync(schema, "utf8") !== generated) {
  console.error("src/shared/api/schema.ts is outdated: run `npm run generate` in web/.");
  process.exit(1);
}
