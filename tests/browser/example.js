// The example `dashboard`, as whoever has just cloned the project opens it.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Host, RED_MS_MAX, notesRed, until, visit } from "./rig.js";

// It fails in one quarter of each minute.
const FAILS_WITHIN_MS = 120_000;

describe("the example", () => {
  test("a task that fails goes red within a second, and its page has the error, the attempts and why it did not run", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "symphra-example-"));
    const host = await Host.of("SYMPHRA_DASHBOARD_EXAMPLE", ["127.0.0.1:0", `sqlite://${folder}/d.db`], "SIGTERM");
    const page = await visit(host);
    await page.goto(host.origin);
    assert.equal(page.url(), host.url, "its address leads to the dashboard");
    await page.getByText("live", { exact: true }).waitFor();
    await until("its tasks live", async () => (await host.runs("task=health_check&state=succeeded")).length >= 2);

    // What falls due meanwhile does not run.
    await page.open("/task?name=supplier_sync");
    await page.getByLabel("Reason for the pause").fill("the supplier moves");
    await page.getByRole("button", { name: "Pause", exact: true }).click();
    await until("an occurrence is recorded", async () => (await host.task("supplier_sync")).records.length);
    await page.locator("#records", { hasText: "the supplier moves" }).waitFor();
    await page.getByRole("button", { name: "Resume", exact: true }).click();
    await page.getByText("Resumed.").waitFor();

    await page.open("/tasks");
    const before = (await host.runs("task=supplier_sync&state=failed")).map(({ id }) => id);
    await until("it is not red", async () => (await page.locator("tr.bad", { hasText: "supplier_sync" }).count()) === 0, FAILS_WITHIN_MS);
    await page.evaluate(`window.marker = "not reloaded"; (${notesRed})("supplier_sync", ".badge.bad")`);
    const seen = await until("it is red", () => page.evaluate(() => window.seenAt), FAILS_WITHIN_MS);
    const failed = (await host.runs("task=supplier_sync&state=failed")).filter(({ id }) => !before.includes(id));
    const took = seen - Math.min(...failed.map((run) => Date.parse(run.finished_at.utc)));
    t.diagnostic(`red ${took} ms after the end of the run`);
    assert.ok(took < RED_MS_MAX, `${took} ms`);
    assert.equal(await page.evaluate(() => window.marker), "not reloaded");

    await page.getByRole("link", { name: "supplier_sync", exact: true }).click();
    const row = page.locator("#runs tbody tr", { hasText: "failed" }).first();
    assert.match(await row.innerText(), /failed[^]*2[^]*the supplier answered 503 Service Unavailable \(request \d+\)/);
    assert.match(await page.locator("#records").innerText(), /paused[^]*the supplier moves/);
    await page.open("/task?name=reindex");
    await page.locator("#records", { hasText: "overlap: as many runs of the task were alive as are allowed" }).waitFor();
    assert.deepEqual(page.harm, []);
    await page.leave();
    await host.stop();
    await rm(folder, { recursive: true });
  });
});
