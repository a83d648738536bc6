import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

import { guides } from "./scripts/guides.ts";

// Where `npm run dev` finds a running service; the built UI is served by the
// service itself and needs no proxy.
const service = process.env.SANDBOXLABS_URL ?? "http://127.0.0.1:3001";

export default defineConfig({
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
    // The build empties dist, and public/.gitkeep puts dist/.gitkeep back:
    // Go's embed directive needs a file there.
    emptyOutDir: true,
    sourcemap: false,
    manifest: true,
    // Fonts and icons stay files, so that the policy needs no data: URLs.
    assetsInlineLimit: 0,
  },
  test: {
    include: ["src/**/*.test.{ts,tsx}"],
  },
});
