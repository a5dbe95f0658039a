// Names, tags, metadata, errors, logs and arguments that would run, spread or turn around: they do no harm.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Host, NARROW, WIDE, pages, until, visit } from "./rig.js";

describe("hostile input", () => {
  test("runs nothing, asks nobody and widens no page, on a desk and on a phone", async () => {
    const host = await Host.start("may=write");
    const hostile = await until("it has failed", async () => (await host.runs("state=failed")).find(({ task }) => task.startsWith("<b")));
    const cancelled = encodeURIComponent("<script>window.harmed = 3</script>");
    const own = [
      `/task?name=${encodeURIComponent(hostile.task)}`, `/run?id=${hostile.id}`, `/tasks?q=${cancelled}&status=${cancelled}`,
      `/task?name=${cancelled}`, `/runs?task=${cancelled}`, `/dead?task=${cancelled}`, `/tasks?done=${cancelled}`,
      `/task?name=report&at=${cancelled}&from=${cancelled}`,
    ];
    await host.change("pause", { task: hostile.task, reason: `</p><script>window.harmed = 4</script>${"p".repeat(9_000)}` });
    for (const viewport of [WIDE, NARROW]) {
      const page = await visit(host, { viewport });
      await page.addInitScript(() => {
        window.refused = [];
        document.addEventListener("securitypolicyviolation", (event) => window.refused.push(event.violatedDirective));
      });
      for (const path of [...Object.values(await pages(host)), ...own]) {
        await page.open(path);
        const { harmed, refused, wide, narrow } = await page.evaluate(() => ({
          harmed: window.harmed,
          refused: window.refused,
          wide: document.documentElement.scrollWidth,
          narrow: window.innerWidth,
        }));
        assert.equal(harmed, undefined, path);
        assert.deepEqual(refused, [], path);
        assert.ok(wide <= narrow, `${path} is ${wide} wide on ${narrow}`);
      }
      assert.deepEqual(page.harm, []);
      // What it wrote is there to be read, as text.
      await page.open(own[1]);
      const parts = page.locator("#run section");
      for (const part of ["Error", "What it wrote"]) {
        const told = parts.filter({ has: page.getByRole("heading", { name: part }) });
        assert.ok((await told.innerText()).includes("<script>window.harmed = 1</script>"), part);
      }
      await page.leave();
    }
    await host.stop();
  });
});
