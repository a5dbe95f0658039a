// Who does not see, or does not point: screen readers by what axe finds, and the keyboard alone.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import { Host, NARROW, TOKEN, WIDE, pages, visit } from "./rig.js";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const TABS_MAX = 60;

describe("reading", () => {
  let host;
  before(async () => {
    host = await Host.start("may=write");
    await host.change("pause", { task: "report", reason: "the bank is closed" });
  });
  after(() => host.stop());

  const finds = async (page, where) => {
    await page.evaluate(axe);
    for (const colorScheme of ["light", "dark"]) {
      // Without motion, so that no colour is looked at on its way.
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      // Of the dark page only the colours are others.
      const rules = { resultTypes: ["violations"], ...(colorScheme === "dark" && { runOnly: ["color-contrast"] }) };
      const { violations, passes } = await page.evaluate((rules) => window.axe.run(document, rules), rules);
      const grave = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
      const told = grave.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join("\n")}`);
      assert.deepEqual(told, [], `${where}, ${colorScheme}`);
      assert.ok(passes.length > 0, `${where}: axe has looked`);
    }
  };

  for (const [locale, viewport] of [["en", WIDE], ["zh-CN", NARROW]]) {
    test(`axe finds nothing serious on any page, light or dark, in ${locale}`, async () => {
      const page = await visit(host, { locale, viewport });
      for (const [name, path] of Object.entries(await pages(host))) {
        await page.open(path);
        assert.equal(await page.locator("html").getAttribute("lang"), locale.slice(0, 2));
        await finds(page, `${name} in ${locale}`);
      }
      await page.open("/tasks");
      await page.locator("summary").first().click();
      await finds(page, `the open confirmation in ${locale}`);
      await page.leave();
      const closed = await Host.start(`may=${TOKEN}`);
      const outside = await visit(closed, { locale, viewport });
      await outside.open("/tasks");
      await outside.locator("input[name=token]").fill("not-the-token-at-all");
      await outside.locator("form[action$=login] button").click();
      await outside.getByRole("alert").waitFor();
      await finds(outside, `signing in, refused, in ${locale}`);
      await outside.leave();
      await closed.stop();
    });
  }

  test("by keyboard alone a task is run, paused with a reason, and all are paused, and the focus is seen", async () => {
    const page = await visit(host);
    const focused = () => page.evaluate(() => {
      const { activeElement: at } = document;
      const { outlineStyle, outlineWidth } = getComputedStyle(at);
      return { is: at.textContent.trim() || at.getAttribute("name"), seen: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 };
    });
    const reach = async (what) => {
      for (let tabs = 0; tabs < TABS_MAX; tabs += 1) {
        await page.keyboard.press("Tab");
        const { is, seen } = await focused();
        assert.ok(seen, `the focus on ${is} is not seen`);
        if (is === what) return;
      }
      assert.fail(`${what} is not reached`);
    };
    await page.open("/task?name=backlog");
    await page.keyboard.press("Tab");
    assert.equal((await focused()).is, "Skip to the content");
    await page.keyboard.press("Enter");
    await reach("Run now");
    await page.keyboard.press("Enter");
    await page.getByText("A run was added.").waitFor();
    assert.equal((await host.runs("task=backlog")).length, 1);

    await host.change("resume", { task: "backlog" });
    await page.open("/task?name=backlog");
    await reach("reason");
    await page.keyboard.type("stock-taking");
    await page.keyboard.press("Enter");
    await page.getByText("Paused.").waitFor();
    assert.equal((await host.task("backlog")).pause.reason, "stock-taking");

    await page.open("/tasks");
    await reach("Pause all tasks");
    await page.keyboard.press("Enter");
    await reach("Yes, pause all of them");
    await page.keyboard.press("Enter");
    await page.getByText("Paused.").waitFor();
    assert.ok((await host.api("tasks")).every(({ pause }) => pause));
    assert.deepEqual(page.harm, []);
    await page.leave();
  });
});
