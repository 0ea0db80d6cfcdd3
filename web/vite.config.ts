import { defineConfig, type Plugin } from "vite";
// @ts-expect-error plain modules of the build
import { basemap } from "./build/basemap.mjs";
// @ts-expect-error plain modules of the build
import { digest } from "./build/sources.mjs";

const API = process.env["BANDSIGHT_API"] ?? "http://127.0.0.1:8000";

// What is made at build time: the basemap, and the digest of the sources that tells a stale build.
function made(): Plugin {
  const id = "virtual:basemap";
  return {
    name: "bandsight-made",
    resolveId: (source) => (source === id ? `\0${id}` : null),
    load(source) {
      if (source !== `\0${id}`) return null;
      const reference = this.emitFile({ type: "asset", name: "basemap.json", source: basemap() as string });
      return `export default import.meta.ROLLUP_FILE_URL_${reference};`;
    },
    generateBundle() {
      this.emitFile({ type: "asset", fileName: "sources.sha256", source: `${digest(import.meta.dirname) as string}\n` });
    },
  };
}

// The page stands at the server's root, its files under static/; all addresses are relative, for servers behind a prefix.
export default defineConfig({
  plugins: [made()],
  publicDir: false,
  experimental: {
    renderBuiltUrl: (file, { hostType }) => (hostType === "html" ? `static/${file}` : { relative: true }),
  },
  build: {
    outDir: "../search_api/static",
    emptyOutDir: true,
    assetsDir: "",
    assetsInlineLimit: 0,
    target: "es2022",
    chunkSizeWarningLimit: 2000,
    modulePreload: { polyfill: false },
    // .mjs is not known as JavaScript everywhere, and browsers start no worker from another type.
    rollupOptions: { output: { assetFileNames: ({ names }) => (names[0]?.endsWith(".mjs") ? "map-worker-[hash].js" : "[name]-[hash][extname]") } },
  },
  server: { proxy: Object.fromEntries(["/search", "/version", "/collections", "/tiles", "/scenes", "/overview", "/jobs", "/classify", "/searches", "/heatmap"].map((path) => [path, API])) },
});
