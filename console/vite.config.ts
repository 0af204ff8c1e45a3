import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

import { precompressed } from "./tools/precompressed.ts";

export default defineConfig({
  base: "/console/",
  plugins: [react(), precompressed()],
  build: {
    outDir: "../src/hookline/console",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // data: URLs would need a weaker content security policy
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700, // kB before compression; tests/browser holds what is loaded to its budget
  },
  server: { proxy: { "/v1": process.env.HOOKLINE ?? "http://127.0.0.1:8080" } },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
