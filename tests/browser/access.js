// Who may look and who may change, as a browser has it: `tests/dashboard/access.rs` has every case as a request.
import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { once } from "node:events";
import { describe, test } from "node:test";
import { Host, TOKEN, visit } from "./rig.js";

describe("access", () => {
  test("who has the token signs in and out, and nobody else sees or changes anything", async () => {
    const host = await Host.start(`may=${TOKEN}`);
    const page = await visit(host);
    assert.equal((await page.open("/tasks")).status(), 401);
    assert.equal(await page.getByText("report").count(), 0);
    await page.getByLabel("Token").fill("not-the-token-at-all");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").waitFor();
    await page.getByLabel("Token").fill(TOKEN);
    await page.getByLabel("Token").press("Enter");
    await page.getByRole("heading", { name: "Tasks" }).waitFor();
    assert.ok(!page.url().includes(TOKEN));
    const session = (await page.context().cookies()).find(({ name }) => name === "symphra_session");
    assert.deepEqual([session.httpOnly, session.sameSite, session.path], [true, "Strict", "/ops"]);

    await page.open("/task?name=report");
    await page.getByRole("button", { name: "Run now" }).click();
    await page.locator(".notice.good").waitFor();
    const { total_runs } = await host.api("task?task=report", TOKEN);
    assert.equal((await host.api("runs?task=report", TOKEN)).length, 1, `${total_runs} are counted`);

    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await page.context().addCookies([session]);
    assert.equal((await page.open("/tasks")).status(), 401, "a session that has ended is worth nothing");
    assert.deepEqual(page.harm, []);
    await page.leave();
    await host.stop();
  });

  test("a reader finds nothing to click, and a change that he sends all the same is refused", async () => {
    const host = await Host.start("may=read");
    const page = await visit(host);
    for (const path of ["/tasks", "/task?name=report", "/dead"]) {
      await page.open(path);
      assert.equal(await page.locator("form[method=post], details").count(), 0, path);
    }
    await page.getByText("read only").waitFor();
    const status = await page.evaluate(async (address) => {
      const answer = await fetch(address, { method: "POST", body: new URLSearchParams({ task: "report" }) });
      return answer.status;
    }, `${host.url}/do/trigger`);
    assert.equal(status, 403);
    assert.deepEqual(await host.runs("task=report"), []);
    await page.leave();
    await host.stop();
  });

  test("a page of somebody else changes nothing, and a name of somebody else shows nothing", async () => {
    const host = await Host.start("may=write");
    const target = `${host.url}/do/trigger`;
    const foreign = createServer((request, response) => {
      response.setHeader("Content-Type", "text/html");
      response.end(`<form method="post" action="${target}"><input name="task" value="report"><button>win</button></form>`);
    }).listen(0, "127.0.0.1");
    await once(foreign, "listening");
    const page = await visit(host);
    await page.goto(`http://127.0.0.1:${foreign.address().port}/`);
    const sent = await page.evaluate(async (address) => {
      const body = new URLSearchParams({ task: "report" });
      const told = (mode) => fetch(address, { method: "POST", mode, body }).then(({ type }) => type, () => "kept away");
      return [await told("no-cors"), await told("cors")];
    }, target);
    assert.deepEqual(sent, ["kept away", "kept away"]);
    await page.getByRole("button", { name: "win" }).click();
    await page.getByText("foreign_origin").waitFor();
    assert.deepEqual(await host.runs("task=report"), []);

    await page.goto(`http://127.0.0.1:${foreign.address().port}/`);
    const held = await page.evaluate(async (address) => {
      const image = new Image();
      image.src = `${address}/assets/icon.svg`;
      const drawn = await image.decode().then(() => true, () => false);
      const opened = window.open(`${address}/tasks`);
      const cut = async () => {
        // No event tells that a window has gone out of reach.
        while (!opened.closed) await new Promise((resolve) => setTimeout(resolve, 30));
        return true;
      };
      return { drawn, cut: await Promise.race([cut(), new Promise((resolve) => setTimeout(resolve, 5_000, false))]) };
    }, host.url);
    assert.deepEqual(held, { drawn: false, cut: true }, "it neither draws what is here, nor holds a window of it");

    const { port } = new URL(host.url);
    const answer = await page.goto(`http://evil.example:${port}/ops/tasks`);
    assert.equal(answer.status(), 421);
    assert.equal(await page.getByText("report").count(), 0);
    await page.leave();
    foreign.close();
    foreign.closeAllConnections();
    await host.stop();
  });

  test("behind a proxy that passes Host on, pages are live and change what they say they do", async () => {
    const host = await Host.start(`may=${TOKEN}`);
    const { port } = new URL(host.url);
    const proxy = createServer((asked, answer) => {
      const headers = { ...asked.headers, "x-forwarded-for": asked.socket.remoteAddress, "x-forwarded-proto": "http" };
      const passed = request({ host: "127.0.0.1", port, method: asked.method, path: asked.url, headers }, (told) => {
        answer.writeHead(told.statusCode, told.headers);
        told.pipe(answer);
      });
      passed.on("error", () => answer.destroy());
      answer.on("close", () => passed.destroy());
      asked.pipe(passed);
    }).listen(0, "127.0.0.1");
    await once(proxy, "listening");
    const origin = `http://127.0.0.1:${proxy.address().port}`;
    const page = await visit({ origin, url: `${origin}/ops` });
    await page.open("/tasks");
    await page.getByLabel("Token").fill(TOKEN);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("live", { exact: true }).waitFor();
    assert.ok(page.url().startsWith(`${origin}/ops/`));
    await page.evaluate(() => (window.marker = "not reloaded"));
    await fetch(`${host.url}/api/pause`, {
      method: "POST",
      headers: { Authorization: `Bearer ${TOKEN}` },
      body: JSON.stringify({ task: "report" }),
    });
    await page.locator("tr", { hasText: "report" }).getByText("paused").waitFor();
    assert.equal(await page.evaluate(() => window.marker), "not reloaded");
    await page.getByRole("link", { name: "report", exact: true }).click();
    await page.getByRole("button", { name: "Run now" }).click();
    await page.locator(".notice.good").waitFor();
    assert.equal((await host.api("runs?task=report", TOKEN)).length, 1);
    assert.deepEqual(page.harm, []);
    await page.leave();
    proxy.close();
    proxy.closeAllConnections();
    await host.stop();
  });
});
