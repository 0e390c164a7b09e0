// Keeps a page alive: replaces the parts that the server draws anew, and says so at once when it no longer hears from it.
// The page is whole without this script.
"use strict";
(() => {
  const SILENCE = 10_000; // ms without a word; the server speaks every four seconds
  const AGAIN = 5_000;
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  let mark = root.dataset.mark;
  let truth = Date.parse(root.dataset.now); // the server's time of what is shown
  let skew = truth - Date.now(); // the viewer's clock may be wrong
  let heard = Date.now();
  let title = document.title;
  let stream = null;

  const now = () => Date.now() + skew;

  function connect() {
    stream?.close();
    stream = new EventSource(`${root.dataset.events}?after=${encodeURIComponent(mark)}`);
    stream.onmessage = (event) => take(event.lastEventId, JSON.parse(event.data));
    stream.onerror = () => {
      if (stream.readyState === EventSource.CLOSED) setTimeout(connect, AGAIN); // refused: the browser gives up, we do not
    };
  }

  function take(id, news) {
    mark = id;
    heard = Date.now();
    truth = Date.parse(news.now);
    skew = truth - heard;
    for (const [name, html] of Object.entries(news.html ?? {})) replace(name, html);
    if (news.order) arrange(news.order);
    sift();
    const asOf = byId("as-of");
    asOf.dateTime = news.now;
    asOf.textContent = news.now.slice(11, 19);
    show();
  }

  function replace(name, html) {
    const template = document.createElement("template");
    template.innerHTML = html.trim();
    const fresh = template.content.firstElementChild;
    const old = byId(name);
    if (!old) {
      if (name.startsWith("check-")) byId("rows").append(fresh);
      return;
    }
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const before = old.querySelector("[data-say]")?.textContent;
    for (const details of old.querySelectorAll("details[open][id]")) {
      fresh.querySelector(`#${CSS.escape(details.id)}`)?.setAttribute("open", "");
    }
    old.replaceWith(fresh);
    if (focused) {
      const links = [...fresh.querySelectorAll("a, summary")];
      (links.find((link) => link.href === focused.href) ?? links[0])?.focus({ preventScroll: true });
    }
    const after = fresh.querySelector("[data-say]")?.textContent;
    if (after && after !== before) byId("said").textContent = after;
    if (name === "title") title = fresh.textContent;
  }

  function arrange(order) {
    const rows = byId("rows");
    const wanted = new Set(order);
    for (const row of [...rows.children]) if (!wanted.has(row.id)) row.remove();
    order.forEach((id, place) => {
      const row = byId(id);
      if (row && rows.children[place] !== row) rows.insertBefore(row, rows.children[place] ?? null);
    });
  }

  // The names that somebody looks for; rows that come later are sifted too.
  function sift() {
    const word = byId("sift")?.value.trim().toLowerCase() ?? "";
    const rows = byId("rows");
    if (!rows) return;
    rows.classList.toggle("sifted", word !== "");
    for (const row of rows.children) row.classList.toggle("elsewhere", !row.id.toLowerCase().slice("check-".length).includes(word));
  }

  // What is on the screen is believed for as long as the server is heard.
  function show() {
    const lost = Date.now() - heard > SILENCE;
    root.classList.toggle("live", !lost);
    root.classList.toggle("lost", lost);
    byId("following").textContent = lost ? "" : ", live";
    const name = lost ? `Not live · ${title}` : title;
    if (document.title !== name) document.title = name;
    if (lost) {
      const clock = new Date(truth).toISOString().slice(11, 19);
      const why = `No word from healthd for ${span(Date.now() - heard)}. What you see was true at ${clock} UTC. Trying again …`;
      if (byId("lost-why").textContent !== why) byId("lost-why").textContent = why;
    }
    document.querySelectorAll("time:not(.plain)").forEach(relate);
  }

  function relate(time) {
    const distance = now() - Date.parse(time.dateTime);
    time.title ||= time.textContent;
    const words = time.classList.contains("ago") ? `${span(distance)} ago`
      : time.classList.contains("until") ? (distance < 0 ? `in ${span(-distance)}` : "now")
      : time.classList.contains("span") ? span(distance)
      : `for ${span(distance)}`;
    if (time.textContent !== words) time.textContent = words;
  }

  function span(ms) {
    const seconds = Math.max(0, Math.round(ms / 1000));
    const minutes = Math.floor(seconds / 60);
    const hours = Math.floor(minutes / 60);
    if (seconds < 60) return `${seconds} s`;
    if (minutes < 60) return `${minutes} min`;
    if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
    return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  }

  connect();
  show();
  if (byId("sift")) {
    byId("sift").hidden = false;
    byId("sift").addEventListener("input", sift);
  }
  setInterval(show, 1000);
  addEventListener("visibilitychange", show);
  addEventListener("pageshow", (event) => { if (event.persisted) connect(); });
})();
