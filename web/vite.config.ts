import { defineConfig, type Plugin } from "vite";
// @ts-expect-error plain modules of the build
import { basemap } from "./build/basemap.mjs";
// @ts-expect-error plain modules of the build
import { gazetteer } from "./build/gazetteer.mjs";
// @ts-expect-error plain modules of the build
import { licenses } from "./build/licenses.mjs";
// @ts-expect-error plain modules of the build
import { digest } from "./build/sources.mjs";

const API = process.env["BANDSIGHT_API"] ?? "http://127.0.0.1:8000";

// Files that the build generates: the basemap, the names of places, the licences, and the digest of the sources that shows a stale build.
function generated(): Plugin {
  const assets: Record<string, { name: string; make: () => string }> = {
    "virtual:basemap": { name: "basemap.json", make: basemap as () => string },
    "virtual:gazetteer": { name: "gazetteer.txt", make: gazetteer as () => string },
  };
  return {
    name: "bandsight-generated",
    resolveId: (source) => (source in assets ? `\0${source}` : null),
    load(source) {
      const asset = source.startsWith("\0") ? assets[source.slice(1)] : undefined;
      if (!asset) return null;
      const reference = this.emitFile({ type: "asset", name: asset.name, source: asset.make() });
      return `export default import.meta.ROLLUP_FILE_URL_${reference};`;
    },
    generateBundle() {
      this.emitFile({ type: "asset", fileName: "licenses.txt", source: licenses() as string });
      this.emitFile({ type: "asset", fileName: "sources.sha256", source: `${digest(import.meta.dirname) as string}\n` });
    },
  };
}

// The page is at the server's root and its files are under static/. All URLs are relative, so that it works behind a path prefix.
export default defineConfig({
  plugins: [generated()],
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
    // Some servers do not know .mjs as JavaScript, and browsers refuse a worker of any other type.
    rollupOptions: { input: ["index.html", "docs.html"], output: { assetFileNames: ({ names }) => (names[0]?.endsWith(".mjs") ? "map-worker-[hash].js" : "[name]-[hash][extname]") } },
  },
  server: { proxy: Object.fromEntries(["/search", "/version", "/collections", "/tiles", "/scenes", "/overview", "/jobs", "/classify", "/searches", "/heatmap", "/labels", "/subscriptions", "/alerts", "/timeline", "/change", "/atlas", "/imagery", "/session", "/export-formats"].map((path) => [path, API])) },
});
