// Each action is clicked, and what it did is asked of the scheduler.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Host, until, visit } from "./rig.js";

describe("actions", () => {
  let host, page;
  before(async () => {
    host = await Host.start("may=write");
    page = await visit(host);
  });
  after(async () => {
    assert.deepEqual(page.harm, []);
    await page.leave();
    await host.stop();
  });
  const button = (name) => page.getByRole("button", { name, exact: true });
  const opener = (name) => page.locator("summary", { hasText: name });
  const says = (text) => page.locator(".notice.good", { hasText: text }).waitFor();

  test("a task is triggered", async () => {
    await page.open("/task?name=report");
    await button("Run now").click();
    await says("A run was added.");
    const [run, ...others] = await host.runs("task=report");
    assert.match(run.origin, /^trigger/);
    assert.deepEqual(others, []);
  });

  test("a task is paused with a reason, and resumed", async () => {
    await page.open("/task?name=report");
    await page.getByLabel("Reason for the pause").fill("the bank is closed");
    await button("Pause").click();
    await says("Paused.");
    const { pause } = await host.task("report");
    assert.deepEqual([pause.by, pause.reason], ["dashboard", "the bank is closed"]);
    await page.getByText("the bank is closed").waitFor();
    await button("Resume").click();
    await says("Resumed.");
    assert.equal((await host.task("report")).pause, null);
  });

  test("all tasks are paused once that is confirmed, and resumed", async () => {
    const paused = async () => (await host.api("tasks?status=paused")).map(({ name }) => name);
    await page.open("/tasks");
    await opener("Pause all tasks").click();
    await button("Yes, pause all of them").waitFor();
    await opener("Pause all tasks").click();
    await button("Yes, pause all of them").waitFor({ state: "hidden" });
    assert.deepEqual(await paused(), ["backlog"], "a refused confirmation changes nothing");
    await opener("Pause all tasks").click();
    await page.getByLabel("Reason for the pause").fill("a move");
    await button("Yes, pause all of them").click();
    await says("Paused.");
    const all = await host.api("tasks");
    assert.ok(all.every(({ pause }) => pause), "every task is paused");
    assert.equal(all.find(({ name }) => name === "report").pause.reason, "a move");
    await button("Resume all tasks").click();
    await says("Resumed.");
    assert.deepEqual(await paused(), ["backlog"], "which was paused by itself");
  });

  test("a backfill is previewed, which runs nothing, and then begun", async () => {
    const [{ first }] = await until("occurrences are recorded as paused", async () => {
      const { records } = await host.task("backlog");
      return records[0]?.count >= 4 && records;
    });
    const [from, to] = [Date.parse(first.utc) + 1_000, Date.parse(first.utc) + 3_000].map((at) => new Date(at).toISOString());
    await page.open("/task?name=backlog");
    await page.getByLabel("From").fill(from);
    await page.getByLabel("To").fill(to);
    await button("Preview").click();
    await page.locator("#backfill .answer, #backfill .bad").waitFor();
    assert.equal(await page.locator("#backfill .answer strong").innerText(), "3");
    assert.deepEqual(await host.runs("task=backlog"), [], "a preview runs nothing");
    await button("Begin this backfill").click();
    await says("The backfill has begun.");
    const runs = await until("all three have succeeded", async () => {
      const ended = await host.runs("task=backlog&state=succeeded");
      return ended.length === 3 && ended;
    });
    assert.ok(runs.every(({ origin }) => origin.startsWith("backfill")));
  });

  test("a run is cancelled once that is confirmed", async () => {
    const [{ id }] = await until("it runs", async () => {
      const runs = await host.runs("task=slow&state=running");
      return runs.length && runs;
    });
    const state = async () => (await host.api(`run?run=${id}`)).state;
    await page.open(`/run?id=${id}`);
    await opener("Cancel this run").click();
    await button("Yes, cancel it").waitFor();
    await opener("Cancel this run").click();
    await button("Yes, cancel it").waitFor({ state: "hidden" });
    assert.equal(await state(), "running", "a refused confirmation changes nothing");
    await opener("Cancel this run").click();
    await button("Yes, cancel it").click();
    await says("The run is asked to end.");
    await until("it is cancelled", async () => (await state()) === "cancelled");
  });

  test("a dead letter is run again, and another is dropped once that is confirmed", async () => {
    const letters = async () => (await host.api("dead-letters?task=send_mail")).map(({ id }) => id);
    const all = await until("three letters", async () => {
      const ids = await letters();
      return ids.length === 3 && ids;
    });
    const letter = (id) => page.locator("article", { hasText: id });
    await page.open("/dead");
    await letter(all[0]).getByRole("button", { name: "Run again" }).click();
    await says("It will run again.");
    const after = await until("it has died anew", async () => {
      const ids = await letters();
      return ids.length === 3 && !ids.includes(all[0]) && ids;
    });
    assert.ok(after.includes(all[1]) && after.includes(all[2]));

    await page.open("/dead?task=send_mail");
    await letter(all[1]).locator("summary").click();
    await letter(all[1]).getByRole("button", { name: "Yes, drop it for good" }).waitFor();
    await letter(all[1]).locator("summary").click();
    assert.equal((await letters()).length, 3, "a refused confirmation changes nothing");
    await letter(all[1]).locator("summary").click();
    await letter(all[1]).getByRole("button", { name: "Yes, drop it for good" }).click();
    await says("The letter was dropped.");
    assert.deepEqual((await letters()).sort(), after.filter((id) => id !== all[1]).sort());
  });

  test("runs are filtered, and an instant is explained", async () => {
    await until("an overlap is recorded", async () => (await host.task("overlaps")).records.length);
    await page.open("/runs");
    await page.getByLabel("State").selectOption("cancelled");
    await button("Filter").click();
    await page.waitForURL(/state=cancelled/);
    const shown = page.locator("#results tbody tr");
    assert.equal(await shown.count(), (await host.runs("state=cancelled")).length);
    await page.open("/task?name=report");
    await page.getByLabel("Instant").fill("2026-06-01T09:30:00");
    await button("Explain an instant").click();
    await page.locator("#explain .answer").waitFor();
    const explained = await host.api("explain?task=report&at=2026-06-01T09:30:00");
    assert.equal(await page.locator("#explain .answer").innerText(), explained.sentence);
  });

  test("the page of actions tells all of it", async () => {
    await page.open("/actions");
    const told = await page.locator("#results").innerText();
    for (const what of ["trigger", "pause", "resume", "backfill", "cancel", "run-again", "drop-letter"]) {
      assert.ok(told.includes(what), `${what} is among ${told}`);
    }
    assert.equal(await page.locator("#results tbody tr").count(), (await host.api("actions")).length);
  });

  test("the language is chosen, and stays", async () => {
    await page.open("/tasks");
    await page.getByRole("link", { name: "中文" }).click();
    await page.getByRole("heading", { name: "任务" }).waitFor();
    await page.open("/runs");
    assert.equal(await page.locator("html").getAttribute("lang"), "zh");
    await page.getByRole("link", { name: "English" }).click();
    await page.getByRole("heading", { name: "Tasks" }).waitFor();
  });
});
