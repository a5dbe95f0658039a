// Saves reloading: asks for the same page anew when something has changed, and swaps the parts that did.
// Without it every page and every form works. It makes no request but to its own dashboard and evaluates nothing.
"use strict";
(() => {
  // Between two questions, whatever happens; a page that costs more, or changes seldom, asks for a longer time.
  const QUIET_MS = Number(document.querySelector("[data-quiet]")?.dataset.quiet ?? 500);
  const SHARE = 5; // And one part of so many is the most that answers may take of the time.
  const STALE_MS = 15_000; // How long "in 5 min" stands where nothing happens.
  const TYPING_MS = 150;
  let asked = 0; // The number of the latest question; the answer to an older one is dropped.
  let waiting = null;
  let again = false;
  let last = 0; // When the page last asked by itself.
  let cost = 0; // How long the last answer took.

  // Swaps each part that has changed, unless a person is in it or has opened something there.
  const swap = (fresh, force) => {
    for (const part of document.querySelectorAll("[data-live]")) {
      const other = fresh.getElementById(part.id);
      const held = part.querySelector("details[open]") ||
        (part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea, button"));
      if (!other || other.isEqualNode(part) || (held && !force)) continue;
      const focus = part.contains(document.activeElement) && document.activeElement.getAttribute("href");
      part.replaceWith(document.importNode(other, true));
      if (focus) {
        const same = [...document.querySelectorAll("#" + CSS.escape(other.id) + " a[href]")];
        const found = same.find((link) => link.getAttribute("href") === focus);
        if (found) found.focus({ preventScroll: true });
      }
    }
  };

  const ask = async (address, force) => {
    const number = ++asked;
    const began = performance.now();
    try {
      const answer = await fetch(address, { credentials: "same-origin", headers: { Accept: "text/html" } });
      if (number !== asked) return;
      // Signed out, or gone: the page itself says so better than a part of it.
      if (answer.status === 401 || answer.redirected) return location.reload();
      if (!answer.ok) return;
      const text = await answer.text();
      cost = performance.now() - began;
      const fresh = new DOMParser().parseFromString(text, "text/html");
      if (number === asked) swap(fresh, force);
    } catch {
      // The line is down: the stream says so, and asks again when it is back.
    }
  };

  const changed = () => {
    again = true;
    if (waiting || document.hidden) return;
    // What happens after a quiet time is shown at once.
    const quiet = Math.max(0, last + QUIET_MS - performance.now());
    waiting = setTimeout(async () => {
      again = false;
      last = performance.now();
      await ask(location.href, false);
      waiting = null;
      if (again) changed();
    }, Math.max(quiet, cost * (SHARE - 1)));
  };

  const form = document.querySelector("form[data-search]");
  if (form) {
    let typed = null;
    const search = () => {
      const address = new URL(form.action);
      for (const [name, value] of new FormData(form)) if (value) address.searchParams.set(name, value);
      history.replaceState(null, "", address);
      ask(address, true);
    };
    form.addEventListener("input", () => {
      clearTimeout(typed);
      typed = setTimeout(search, TYPING_MS);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(typed);
      search();
    });
  }

  const events = document.body.dataset.events;
  const sign = document.getElementById("connection");
  const told = (live) => {
    sign.textContent = live ? sign.dataset.liveWord : sign.dataset.lostWord;
    sign.className = live ? "live" : "lost";
  };
  if (events && document.querySelector("[data-live]")) {
    const stream = new EventSource(events);
    let lost = false;
    stream.onopen = () => {
      told(true);
      if (lost) changed();
      lost = false;
    };
    stream.onerror = () => {
      lost = true;
      told(false);
    };
    stream.onmessage = changed;
    setInterval(changed, Math.max(STALE_MS, QUIET_MS));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && again) changed();
    });
  }
})();
