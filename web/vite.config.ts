import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

import { guides } from "./scripts/guides.ts";

// The running service that `npm run dev` uses. The built UI is served by the service itself and
// needs no proxy.
const service = process.env.SANDBOXLABS_URL ?? "http://127.0.0.1:3001";

export default defineConfig({
  // Relative, so that assets find each other below any path; the service rewrites the page's own
  // URLs (see embed.go).
  base: "./",
  plugins: [guides(), react()],
  server: {
    host: "127.0.0.1",
    fs: { allow: [".."] }, // the guides are in docs/
    proxy: {
      "/api": { target: service },
      "/ws": { target: service, ws: true },
    },
  },
  build: {
    outDir: "dist",
    // The build empties dist, and public/.gitkeep restores dist/.gitkeep:
    // Go's embed directive needs a file there.
    emptyOutDir: true,
    sourcemap: false,
    manifest: true,
    // Fonts and icons are separate files, so that the content security policy needs no data: URLs.
    assetsInlineLimit: 0,
    rolldownOptions: {
      output: {
        codeSplitting: {
          // Otherwise there would be a chunk for each set of pages that share code: a hundred
          // requests for the first page.
          groups: [
            { name: "icons", test: /@patternfly\/react-icons/, minShareCount: 2, priority: 4 },
            { name: "ui", test: /node_modules\/(?!@patternfly\/react-table)/, minShareCount: 6, priority: 3 },
            { name: "table", test: /@patternfly\/react-table/, priority: 2 },
            { name: "shared", test: /\/src\//, minShareCount: 3, priority: 1 },
          ],
        },
      },
    },
  },
  test: {
    include: ["src/**/*.test.{ts,tsx}"],
  },
});
