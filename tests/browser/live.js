// What happens is on the page without a reload, takes nobody's focus, and costs a bounded number of messages.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Host, RED_MS_MAX, median, notesRed, until, visit } from "./rig.js";

// The server says something each 400 ms at most, and a page asks each 500 ms at most; two for the ends of the time.
const STORM_MS = 10_000;
const MESSAGES_MAX = STORM_MS / 400 + 2;
const QUESTIONS_MAX = STORM_MS / 500 + 2;

// What a person takes for an answer at once.
const CLICK_MS_MAX = 200;

describe("live", () => {
  test("a task that fails goes red within a second, and its page has the error, the attempts and the reasons", async (t) => {
    const host = await Host.start("may=write");
    const page = await visit(host);
    await page.open("/tasks");
    await page.getByText("live", { exact: true }).waitFor();
    await page.evaluate(() => (window.marker = "not reloaded"));
    assert.equal(await page.locator("tr.bad", { hasText: "fails" }).count(), 0);
    await page.evaluate(`(${notesRed})("fails", ".badge.bad")`);
    await host.change("trigger", { task: "fails" });
    const seen = await until("it is red", () => page.evaluate(() => window.seenAt));
    const [run] = await host.runs("task=fails&state=failed");
    const took = seen - Date.parse(run.finished_at.utc);
    t.diagnostic(`red ${took} ms after the end of the run`);
    assert.ok(took < RED_MS_MAX, `${took} ms`);
    assert.equal(await page.evaluate(() => window.marker), "not reloaded");

    await page.open("/task?name=fails");
    const row = page.locator("#runs tbody tr").first();
    assert.match(await row.innerText(), /failed[^]*2[^]*503 Service Unavailable/);
    await page.open("/task?name=overlaps");
    await page.locator("#records", { hasText: "overlap: as many runs of the task were alive as are allowed" }).waitFor();
    assert.deepEqual(page.harm, []);
    await page.leave();
    await host.stop();
  });

  test("news take neither the focus nor what is being typed", async () => {
    const host = await Host.start("may=write");
    const page = await visit(host);
    // A page is swapped when its counts are.
    const swaps = (id) => page.evaluate((id) => {
      window.swapped = 0;
      const parent = document.getElementById(id).parentNode;
      new MutationObserver((all) => (window.swapped += all.length)).observe(parent, { childList: true });
    }, id);
    const swapped = () => until("parts were swapped", () => page.evaluate(() => window.swapped > 2));

    await page.open("/task?name=overlaps");
    await swaps("runs");
    const reason = page.getByLabel("Reason for the pause");
    await reason.fill("half a sen");
    await swapped();
    assert.equal(await reason.inputValue(), "half a sen");
    await page.keyboard.type("tence");
    assert.equal(await reason.inputValue(), "half a sentence");

    await page.open("/tasks");
    await swaps("results");
    await page.getByRole("link", { name: "report", exact: true }).focus();
    await swapped();
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "report");
    assert.deepEqual(page.harm, []);
    await page.leave();
    await host.stop();
  });

  test("what is costly is asked for seldom: the day ahead, and a page that is long in coming", async () => {
    const host = await Host.start("may=write");
    const page = await visit(host);
    let asked = 0;
    // There is news each second: a task overlaps with itself.
    const seconds = async (count) => {
      asked = 0;
      const { ledger } = await host.task("overlaps");
      const wanted = ledger.occurrences + count;
      await until("so many more are recorded", async () => (await host.task("overlaps")).ledger.occurrences >= wanted);
      return asked;
    };
    page.on("request", (request) => (asked += request.resourceType() === "fetch"));
    await page.open("/timeline");
    assert.ok((await seconds(4)) <= 1, `it asked ${asked} times for the day ahead`);

    await page.open("/tasks");
    assert.ok((await seconds(4)) > 1, `it asked ${asked} times for the tasks`);
    await page.route("**/tasks", async (route) => {
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      await route.continue();
    });
    await until("an answer was long in coming", () => seconds(2));
    assert.ok((await seconds(4)) <= 1, `it asked ${asked} times for what takes a second`);
    await page.leave();
    await host.stop();
  });

  test("a thousand events a second are a few messages, and the page answers", async (t) => {
    const host = await Host.start("may=write", "events=1000");
    const page = await visit(host);
    await page.addInitScript(() => {
      const Real = window.EventSource;
      window.messages = 0;
      window.EventSource = class extends Real {
        set onmessage(told) {
          super.onmessage = (event) => {
            window.messages += 1;
            told(event);
          };
        }
      };
      window.longest = 0;
      const note = (list) => list.getEntries().forEach((task) => (window.longest = Math.max(window.longest, task.duration)));
      new PerformanceObserver(note).observe({ type: "longtask", buffered: true });
    });
    let questions = 0;
    await page.open("/tasks");
    await page.getByText("live", { exact: true }).waitFor();
    page.on("request", () => (questions += 1));
    const told = async () => Number(await (await fetch(`${host.origin}/told`)).text());
    const [toldBefore, messagesBefore, began] = [await told(), await page.evaluate(() => window.messages), Date.now()];
    // The time from a click to the frame that shows what it did.
    const click = () => page.evaluate(() => new Promise((resolve) => {
      const summary = document.querySelector("details.confirm summary");
      const from = performance.now();
      summary.click();
      requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - from)));
    }));
    const clicks = [];
    while (Date.now() - began < STORM_MS) {
      clicks.push(await click());
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    const seconds = (Date.now() - began) / 1_000;
    const messages = (await page.evaluate(() => window.messages)) - messagesBefore;
    const events = (await told()) - toldBefore;
    const longest = Math.round(await page.evaluate(() => window.longest));
    t.diagnostic(`${events} events, ${messages} messages, ${questions} questions in ${seconds.toFixed(1)} s`);
    t.diagnostic(`clicks: median ${median(clicks).toFixed(1)} ms; the longest task of the page ${longest} ms`);
    assert.ok(events >= 1_000 * seconds * 0.9, `${events} events`);
    assert.ok(messages > 2 && messages <= MESSAGES_MAX, `${messages} messages`);
    assert.ok(questions > 2 && questions <= QUESTIONS_MAX, `${questions} questions`);
    assert.ok(median(clicks) < CLICK_MS_MAX, `${clicks}`);
    assert.deepEqual(page.harm, []);
    await page.leave();
    await host.stop();
  });
});
