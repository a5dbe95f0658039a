// Five thousand tasks: the page is there at once, finds while one types, and turns its pages.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Host, until, visit } from "./rig.js";

const MANY = 5_000;

// The issue's own figure, in whatever profile the tests are built.
const ANSWER_MS_MAX = 200;

describe("five thousand tasks", () => {
  let host, page;
  before(async () => {
    host = await Host.start("may=write", `tasks=${MANY}`);
    page = await visit(host);
  });
  after(async () => {
    assert.deepEqual(page.harm, []);
    await page.leave();
    await host.stop();
  });
  const rows = (page) => page.locator("#results tbody tr");

  test("the page is answered in time", async (t) => {
    for (const path of ["/tasks", "/tasks?q=billing", "/tasks?page=50", "/timeline", "/timeline?page=30"]) {
      const times = [];
      for (let count = 0; count < 5; count += 1) {
        const began = performance.now();
        const answer = await fetch(host.url + path);
        assert.equal(answer.status, 200);
        await answer.text();
        times.push(performance.now() - began);
      }
      t.diagnostic(`${path}: ${times.map((time) => Math.round(time)).join(", ")} ms`);
      // What else the machine does at that moment is no part of an answer.
      assert.ok(Math.min(...times) < ANSWER_MS_MAX, `${path}: ${times}`);
    }
  });

  test("rows go while one types, over all pages, without a reload, and the focus stays", async () => {
    await page.open("/tasks");
    assert.equal(await rows(page).count(), 100);
    await page.evaluate(() => (window.marker = "not reloaded"));
    const search = page.getByRole("searchbox");
    await search.focus();
    const all = (await host.api("tasks")).map(({ name }) => name);
    for (const [typed, sought] of [["billing_4", "billing_4"], ["9", "billing_49"], ["93", "billing_4993"]]) {
      await page.keyboard.type(typed);
      const expected = all.filter((name) => name.includes(sought));
      await until(`${sought} is found`, async () => {
        const shown = await rows(page).locator("th > a").allInnerTexts();
        return shown.length === Math.min(expected.length, 100) && shown.every((name) => expected.includes(name));
      });
    }
    assert.ok(await search.evaluate((field) => field === document.activeElement));
    assert.equal(await search.inputValue(), "billing_4993");
    assert.equal(await page.evaluate(() => window.marker), "not reloaded");
    assert.match(page.url(), /q=billing_4993/);
    await page.reload();
    assert.equal(await rows(page).count(), all.filter((name) => name.includes("billing_4993")).length);
  });

  test("the day ahead has a page for each hundred tasks, and the minutes of all of them", async () => {
    await page.open("/timeline");
    const bars = page.locator("#timeline tbody tr");
    assert.equal(await bars.count(), 100);
    const [, pages] = (await page.locator("#timeline nav.pages span").innerText()).split(" / ").map(Number);
    // Those of every five minutes, of every day and of every day but weekends; of the others no one is due, the base ones apart.
    assert.ok(pages >= 25, `${pages} pages`);
    const most = Number(await page.locator("#together strong").innerText());
    assert.ok(most >= MANY / 4, `${most} tasks in one minute`);
    await page.getByRole("link", { name: "Next page" }).click();
    await page.getByText(`2 / ${pages}`).waitFor();
    assert.equal(await bars.count(), 100);
  });

  test("statuses and tags filter, and pages are turned", async () => {
    await page.open("/tasks");
    await page.getByLabel("Tag").selectOption("platform");
    const tagged = (await host.api("tasks?tag=platform")).length;
    await page.locator("#results", { hasText: `${tagged} of ` }).waitFor();
    await page.getByRole("link", { name: "Next page" }).click();
    await page.getByText(`2 / ${Math.ceil(tagged / 100)}`).waitFor();
    assert.match(page.url(), /tag=platform/);
    await page.getByLabel("Status").selectOption("paused");
    await page.getByText("No task is like that.").waitFor();
    await page.getByRole("link", { name: "Clear" }).click();
    await page.locator(".statuses a", { hasText: "paused" }).click();
    await until("only what is paused", async () => (await rows(page).count()) === (await host.api("tasks?status=paused")).length);
  });
});
