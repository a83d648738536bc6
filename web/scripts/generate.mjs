// Writes src/shared/api/schema.ts from openapi.json, which the service prints:
// bin/sandboxlabs openapi > web/openapi.json
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import openapiTS, { COMMENT_HEADER, astToString } from "openapi-typescript";

const web = join(import.meta.dirname, "..");

const text = readFileSync(join(web, "openapi.json"), "utf8");
const nodes = await openapiTS(text);
writeFileSync(join(web, "src", "shared", "api", "schema.ts"), COMMENT_HEADER + astToString(nodes));
