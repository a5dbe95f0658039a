// Makes the pictures of the book anew, of the example `dashboard`: `npm run screenshots`. It needs `pngquant`, and a font with
// Chinese characters, such as Debian's `fonts-noto-cjk`.
import { execFileSync, spawn } from "node:child_process";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { NARROW, WIDE, closeAll, until, visit } from "./rig.js";

const ROOT = new URL("../..", import.meta.url).pathname;
const BYTES_MAX = 120_000;

// So many runs fill the charts; the supplier fails in one quarter of each minute.
const RUNS = 24;

const folder = await mkdtemp(join(tmpdir(), "symphra-screenshots-"));
const given = ["run", "--quiet", "--package", "examples", "--bin", "dashboard", "--", "127.0.0.1:0", `sqlite://${folder}/d.db`];
const example = spawn("cargo", given, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
const ended = new Promise((resolve) => example.once("exit", resolve));
const url = await new Promise((resolve) => {
  createInterface({ input: example.stdout }).on("line", (line) => line.startsWith("listening") && resolve(line.split(" ").pop()));
});
const host = { url, origin: new URL(url).origin };
const api = async (path) => (await fetch(`${url}/api/${path}`)).json();

await fetch(`${url}/api/pause`, {
  method: "POST",
  headers: { Origin: host.origin },
  body: JSON.stringify({ task: "currency_rates", reason: "the bank is closed" }),
});
console.log("waiting for a history to show");
// More patience than a test has, so this waits by itself.
const enough = async () => {
  const runs = await api("runs?task=supplier_sync&count=100");
  const task = await api("task?task=supplier_sync");
  return runs.length >= RUNS && task.status === "failed" && runs.some(({ state }) => state === "succeeded");
};
while (!(await enough())) await new Promise((resolve) => setTimeout(resolve, 500));

const shots = {
  tasks: ["/tasks", WIDE],
  task: ["/task?name=supplier_sync", { ...WIDE, height: 1_130 }],
  timeline: ["/timeline", { ...WIDE, height: 800 }],
  phone: ["/tasks", NARROW],
};
for (const locale of ["en", "zh-CN"]) {
  for (const colorScheme of ["light", "dark"]) {
    for (const [name, [path, viewport]] of Object.entries(shots)) {
      const page = await visit(host, { locale, colorScheme, viewport, deviceScaleFactor: name === "phone" ? 2 : 1 });
      await page.open(path);
      await until("it is live", () => page.locator("#connection.live").count());
      const file = join(ROOT, `docs/images/dashboard-${name}-${locale.slice(0, 2)}-${colorScheme}.png`);
      await page.screenshot({ path: file });
      await page.leave();
      execFileSync("pngquant", ["--force", "--strip", "--speed=1", "--ext=.png", "64", file]);
      const { size } = await stat(file);
      console.log(`${file}: ${size} bytes`);
      if (size > BYTES_MAX) throw new Error(`${file} has ${size} bytes; at most ${BYTES_MAX} go into the book`);
    }
  }
}
await closeAll();
example.kill("SIGTERM");
await ended;
await rm(folder, { recursive: true });
