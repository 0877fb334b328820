// Keeps the page true while it is open: it puts in what the service sends, and says when nothing comes any more.
"use strict";
(() => {
  const STALE_AFTER = 5000; // ms without a word from the service
  const DEAD_AFTER = 15000; // ms until a connection that says nothing is given up: nobody may have told the browser
  const AGAIN_AFTER = 2000; // ms until the next attempt, where the browser makes none itself
  const root = document.documentElement;
  const body = document.body;
  const icon = document.getElementById("icon");
  const said = document.getElementById("said");
  const note = document.getElementById("note");
  const stale = document.getElementById("stale");
  const staleText = document.getElementById("stale-text");
  let heardAt = performance.now();
  let triedAt = heardAt;
  let source = null;
  let title = document.title;

  // Makes an element's content that of another, and leaves alone what is the same: so the focus, a selection and what
  // somebody has folded stay.
  function morph(old, fresh) {
    const news = [...fresh.childNodes];
    const olds = [...old.childNodes];
    news.forEach((now, place) => {
      const was = olds[place];
      if (!was) {
        old.append(now);
      } else if (was.nodeType !== now.nodeType || was.nodeName !== now.nodeName) {
        was.replaceWith(now);
      } else if (now.nodeType !== Node.ELEMENT_NODE) {
        if (was.data !== now.data) was.data = now.data;
      } else {
        for (const { name } of [...was.attributes]) {
          if (name !== "open" && !now.hasAttribute(name)) was.removeAttribute(name);
        }
        for (const { name, value } of now.attributes) {
          if (name !== "open" && was.getAttribute(name) !== value) was.setAttribute(name, value);
        }
        morph(was, now);
      }
    });
    olds.slice(news.length).forEach((was) => was.remove());
  }

  function show(message) {
    heardAt = performance.now();
    for (const [name, html] of Object.entries(message.parts)) {
      const place = document.querySelector(`[data-part="${name}"]`);
      if (!place) continue;
      const fresh = document.createElement("template");
      fresh.innerHTML = html; // escaped by the service; and nothing in it may run (Content-Security-Policy)
      morph(place, fresh.content);
    }
    title = message.title;
    const isNew = root.dataset.state !== message.state || "stale" in root.dataset;
    root.dataset.state = message.state;
    delete root.dataset.stale;
    stale.hidden = true;
    note.hidden = true;
    document.title = title;
    if (isNew) {
      icon.href = `/icon-${message.state}.svg`;
      said.textContent = message.said;
    }
  }

  function look() {
    const now = performance.now();
    const silent = now - heardAt;
    if (silent < STALE_AFTER) return;
    if (Math.min(silent, now - triedAt) >= DEAD_AFTER) watch();
    staleText.textContent = staleText.dataset.text.replace("{n}", Math.floor(silent / 1000));
    if ("stale" in root.dataset) return;
    root.dataset.stale = "";
    stale.hidden = false;
    document.title = `⌛ ${body.dataset.stale} · aiot-mqtt`;
    icon.href = icon.dataset.stale; // no service is there to be asked for it
    said.textContent = `${body.dataset.stale}: ${staleText.textContent}`;
  }

  async function explain() {
    // An EventSource does not tell why it was refused.
    const stop = new AbortController();
    try {
      const answer = await fetch(body.dataset.events, { signal: stop.signal, cache: "no-store" });
      if (answer.status === 503) {
        note.textContent = await answer.text();
        note.hidden = false;
      }
    } catch {
      // no contact: said by look
    }
    stop.abort();
  }

  function watch() {
    if (source) source.close();
    triedAt = performance.now();
    const mine = source = new EventSource(body.dataset.events);
    mine.onmessage = (event) => show(JSON.parse(event.data));
    mine.onerror = () => {
      if (mine !== source || mine.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
      explain();
      setTimeout(() => { if (mine === source) watch(); }, AGAIN_AFTER);
    };
  }

  if (matchMedia("(max-width: 800px)").matches) {
    document.querySelectorAll(".card > details").forEach((each) => each.removeAttribute("open"));
  }
  const header = document.querySelector("header");
  new ResizeObserver(() => { root.style.scrollPaddingTop = `${header.offsetHeight + 8}px`; }).observe(header);
  watch();
  setInterval(look, 500);
})();
