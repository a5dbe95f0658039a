// What the tests share: the program under test, a browser, and how to wait for what becomes true.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

// How long anything at all may take, on a machine under load.
export const PATIENCE_MS = 30_000;

// From the end of a run to its colour on the page.
export const RED_MS_MAX = 1_000;

export const TOKEN = "0123456789abcdef-token";

export const WIDE = { width: 1280, height: 860 };
export const NARROW = { width: 390, height: 844 };

// A Chromium that asks nobody for anything.
export const launch = () =>
  chromium.launch({
    executablePath: process.env.SYMPHRA_CHROMIUM ?? "/usr/bin/chromium",
    args: [
      // Names that lead here without being ours, as a hostile name server has them.
      "--host-resolver-rules=MAP evil.example 127.0.0.1",
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync",
    ],
  });

let launched = null;
// The one browser of all tests.
export const browser = () => (launched ??= launch());
const hosts = new Set();

// Ends whatever a failed test has left.
export const closeAll = async () => {
  await (await launched)?.close();
  for (const host of hosts) await host.stop();
};

// A program with a dashboard. It ends with its standard input, so with this process at the latest.
export class Host {
  static start(...given) {
    return Host.of("SYMPHRA_DASHBOARD_FIXTURE", given);
  }

  // The program that a variable names; it ends by a signal where it does not heed its standard input.
  static async of(variable, given, signal) {
    const program = process.env[variable];
    if (!program) throw new Error(`${variable} names no program; \`cargo test --test browser\` sets it`);
    const host = new Host();
    host.signal = signal;
    host.child = spawn(program, given, { stdio: ["pipe", "pipe", "inherit"] });
    if (signal) process.once("exit", () => host.child.kill(signal));
    host.ended = new Promise((resolve) => host.child.once("exit", resolve));
    hosts.add(host);
    const lines = createInterface({ input: host.child.stdout });
    const listens = new Promise((resolve) => lines.on("line", (line) => resolve(line.match(/http:\S+/)?.[0])));
    host.url = await Promise.race([listens, host.ended.then((code) => Promise.reject(new Error(`it ended: ${code}`)))]);
    return host;
  }

  async stop() {
    if (this.signal) this.child.kill(this.signal);
    else this.child.stdin.end();
    await this.ended;
    hosts.delete(this);
  }

  get origin() {
    return new URL(this.url).origin;
  }

  // What the HTTP API answers: the scheduler's own word on what a page has changed.
  async api(path, token) {
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const answer = await fetch(`${this.url}/api/${path}`, { headers });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  async change(path, fields) {
    const answer = await fetch(`${this.url}/api/${path}`, {
      method: "POST",
      headers: { Origin: this.origin, "Content-Type": "application/json" },
      body: JSON.stringify(fields),
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  task(name) {
    return this.api(`task?task=${encodeURIComponent(name)}`);
  }

  runs(query) {
    return this.api(`runs?count=100&${query}`);
  }
}

// A page of its own browser context, which fails a test by what must not happen: dialogs, errors of scripts, refusals of the
// content-security policy, requests to anybody else.
export const visit = async (host, settings = {}) => {
  const context = await (await browser()).newContext({ viewport: WIDE, locale: "en", ...settings });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.harm = [];
  page.on("dialog", (dialog) => {
    page.harm.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("pageerror", (error) => page.harm.push(`error: ${error}`));
  page.on("console", (message) => {
    // Of an answer with an error status the browser says so itself.
    if (message.type() === "error" && !message.text().startsWith("Failed to load")) page.harm.push(message.text());
  });
  page.on("request", (request) => {
    const to = new URL(request.url());
    if (to.protocol !== "data:" && to.origin !== host.origin) page.harm.push(`request to ${to}`);
  });
  page.open = (path) => page.goto(host.url + path);
  page.leave = () => context.close();
  return page;
};

// Every page there is, by a name; of a program that has just begun.
export const pages = async (host) => {
  const [slow] = await until("it runs", async () => {
    const runs = await host.runs("task=slow");
    return runs.length && runs;
  });
  await until("there are letters", async () => (await host.api("dead-letters")).length === 3);
  const [letter] = await host.runs("task=send_mail");
  const range = `from=${encodeURIComponent(new Date(Date.now() - 3_600_000).toISOString())}`;
  return {
    tasks: "/tasks",
    task: "/task?name=overlaps",
    paused: "/task?name=report",
    explained: "/task?name=report&at=2026-06-01T09:30:00",
    previewed: `/task?name=backlog&${range}`,
    refused: "/task?name=report&at=soon&from=soon",
    timeline: "/timeline",
    runs: "/runs",
    failed: `/run?id=${letter.id}`,
    alive: `/run?id=${slow.id}`,
    nodes: "/nodes",
    dead: "/dead",
    actions: "/actions",
    unknown: "/nothing",
  };
};

// Notes when a row of that task first is red, with the badge that has these classes. It is sent to the page as a text.
export const notesRed = (task, badge) => {
  const look = () => {
    const row = [...document.querySelectorAll("tr")].find((row) => row.querySelector("th a")?.textContent === task);
    if (row?.classList.contains("bad") && row.querySelector(badge)) window.seenAt ??= Date.now();
  };
  new MutationObserver(look).observe(document.documentElement, { childList: true, subtree: true });
};

// Waits until `holds` answers something, and answers that.
export const until = async (what, holds, patience = PATIENCE_MS) => {
  const began = Date.now();
  for (;;) {
    const answer = await holds();
    if (answer) return answer;
    if (Date.now() - began > patience) throw new Error(`in ${patience} ms it never was so: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
};

export const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
