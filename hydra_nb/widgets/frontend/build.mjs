// Bundles src/*.js into ../static, which is committed so that `pip install` needs no Node.
// The style sheet, ../static/lab.css, needs no build.
import { build } from "esbuild";
import { readFile, readdir, writeFile } from "node:fs/promises";

const STATIC = "../static";

const { metafile } = await build({
  entryPoints: ["src/prompt.js", "src/catalog.js", "src/solver.js", "src/what_if.js", "src/chart.js", "src/workload.js"],
  outdir: STATIC,
  bundle: true,
  format: "esm",
  minify: true,
  target: "es2021",
  legalComments: "none",
  logLevel: "warning",
  metafile: true,
});

// The licences of what is bundled must travel with it.
const packages = new Set();
for (const input of Object.keys(metafile.inputs)) {
  const match = input.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)/);
  if (match) packages.add(match[1]);
}
const notices = [];
for (const name of [...packages].sort()) {
  const folder = `node_modules/${name}`;
  const { version, license } = JSON.parse(await readFile(`${folder}/package.json`, "utf8"));
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file ? (await readFile(`${folder}/${file}`, "utf8")).trim() : "";
  notices.push(`${name} ${version} (${license})\n\n${text}`);
}
await writeFile(`${STATIC}/THIRD_PARTY_LICENSES.txt`, notices.join(`\n\n${"-".repeat(80)}\n\n`) + "\n");
