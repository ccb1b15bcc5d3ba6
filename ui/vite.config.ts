import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const server = process.env.CLEW_URL ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: fileURLToPath(new URL("../src/clew/server/static", import.meta.url)),
    emptyOutDir: true,
    // elkjs alone is 1.5 MB; it is a chunk of its own, loaded by the lineage graph only.
    chunkSizeWarningLimit: 2_000,
  },
  server: { proxy: { "/api": server } },
});
