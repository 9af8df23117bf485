// Optional. Without it the page refreshes itself by <noscript> and everything else works the same.
(() => {
  "use strict";
  const root = document.documentElement;
  const every = Number(root.dataset.refresh) * 1000;
  const stream = root.dataset.stream;
  const pause = document.getElementById("pause");
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const shown = {};
  let paused = false, source = null, last = root.dataset.event, waiting = [];

  // Times: the page says UTC, the hover says how long ago and the reader's own time.
  const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  const ago = (date) => {
    const seconds = (date - Date.now()) / 1000;
    const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) || UNITS[3];
    return words.format(Math.round(seconds / size), unit);
  };
  const tellTime = (event) => {
    const time = event.target.closest?.("time[datetime]");
    if (time) time.title = `${ago(new Date(time.dateTime))}; ${new Date(time.dateTime).toLocaleString()} here`;
  };

  // What a box means, beneath the page, for whoever gets there by keyboard: a title shows itself to a mouse only.
  const detail = document.createElement("p");
  detail.id = "detail";
  detail.hidden = true;
  detail.setAttribute("aria-hidden", "true"); // screen readers have read the title itself
  document.body.append(detail);
  const tellDetail = () => {
    const at = document.activeElement;
    const text = at?.matches?.("a.box:focus-visible") ? at.title : "";
    detail.textContent = text;
    detail.hidden = !text;
  };

  // A growing log shows its end, unless the reader has gone back in it.
  const logs = () => all("[data-follow]");
  const toEnd = (log) => { log.scrollTop = log.scrollHeight; };

  // What the reader opened stays open, what has the focus keeps it.
  const keep = () => {
    const open = all("details").map((d) => d.open);
    const at = document.activeElement;
    const away = logs().map((log) => log.scrollHeight - log.scrollTop - log.clientHeight > 40);
    const row = at?.closest?.("[id]")?.id, href = at?.getAttribute?.("href");
    return () => {
      all("details").forEach((d, i) => { if (i in open) d.open = open[i]; });
      logs().forEach((log, i) => away[i] || toEnd(log));
      if (!href || at.isConnected) return;
      const there = `a[href="${CSS.escape(href)}"]`;
      const inside = row && document.getElementById(row);
      (inside?.querySelector(there) || document.querySelector(there))?.focus({ preventScroll: true });
    };
  };

  const busy = () =>
    paused || document.hidden || !getSelection().isCollapsed ||
    /^(INPUT|SELECT)$/.test(document.activeElement?.tagName);

  const refresh = async () => {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const restore = keep();
    for (const id of ["top", "content"]) {
      const old = document.getElementById(id), now = fresh.getElementById(id);
      if (!old || !now || shown[id] === now.innerHTML) continue;
      shown[id] = now.innerHTML;
      old.replaceWith(now);
    }
    last = fresh.documentElement.dataset.event || last;
    document.title = fresh.title;
    restore();
  };

  // Pieces of the page as the server rendered them; rows may come and go.
  const element = (html) => {
    const holder = document.createElement("template");
    holder.innerHTML = html;
    return holder.content.firstElementChild;
  };
  const patch = ({ put = {}, rows }) => {
    const restore = keep();
    delete shown.top;
    delete shown.content;
    for (const [id, html] of Object.entries(put)) document.getElementById(id)?.replaceWith(element(html));
    const into = document.querySelector("[data-rows]");
    const known = into && rows?.map((id) => document.getElementById(id) || (put[id] && element(put[id])));
    if (known?.every(Boolean)) {
      for (const row of all(":scope > [data-row]", into)) if (!known.includes(row)) row.remove();
      let next = into.querySelector(":scope > [data-row]");
      for (const row of known) {
        if (row === next) next = next.nextElementSibling;
        else into.insertBefore(row, next);
      }
    } else if (rows) refresh();
    restore();
  };

  const heard = (told) => {
    if ("reload" in told) return void setTimeout(tryRefresh, Math.random() * told.reload);
    waiting.push(told);
    settle();
  };
  const settle = () => {
    if (getSelection().isCollapsed) for (const told of waiting.splice(0)) patch(told);
  };

  // One stream while somebody looks. When it is gone, the page is fetched now and then.
  const listen = () => {
    source?.close();
    source = null;
    if (!stream || paused || document.hidden) return;
    source = new EventSource(`${stream}&since=${last}`);
    source.onmessage = (event) => {
      last = event.lastEventId || last;
      heard(JSON.parse(event.data));
    };
  };
  const tryRefresh = () => busy() || refresh().catch(() => {}); // the next round tries again
  const around = () => {
    if (source?.readyState !== 1) tryRefresh();
    if (source?.readyState === 2) listen();
    setTimeout(around, every * (0.9 + Math.random() / 5));
  };

  // j and k: commit by commit. n: the next box that turned red. Arrows: from box to box.
  const visible = (found) => found.filter((one) => one.offsetParent);
  const step = (found, by) => {
    const at = document.activeElement;
    const here = found.findIndex((one) => one === at || one.contains(at));
    return found[here < 0 ? (by > 0 ? 0 : -1) : here + by];
  };
  const go = (target) => {
    const link = target?.matches("a") ? target : target?.querySelector("a");
    link?.focus();
    link?.scrollIntoView({ block: "nearest", inline: "nearest" });
    return Boolean(link);
  };
  const after = (found) => found.find((one) => document.activeElement.compareDocumentPosition(one) & 4) || found[0];
  const rowOf = (box) => visible(all(".box", box.closest("tr")));
  const arrow = (key) => {
    const box = document.activeElement;
    if (!box?.matches("td .box")) return false;
    const row = rowOf(box), at = row.indexOf(box);
    if (key === "ArrowLeft" || key === "ArrowRight") {
      const by = key === "ArrowLeft" ? -1 : 1;
      for (let i = at + by; i in row; i += by) if (row[i].matches("a")) return go(row[i]);
      return true;
    }
    const cell = box.closest("td").cellIndex, by = key === "ArrowUp" ? -1 : 1;
    const rows = all("tbody.now tr:first-child, tbody.commit tr:first-child", box.closest("table"));
    for (let i = rows.indexOf(box.closest("tr")) + by; i in rows; i += by) {
      const there = rows[i].cells[cell]?.querySelector("a.box");
      if (there?.offsetParent) return go(there);
    }
    return true;
  };
  const KEYS = {
    j: () => go(step(all("tbody.commit"), 1)),
    k: () => go(step(all("tbody.commit"), -1)),
    n: () => go(after(visible(all("tbody.commit a.box.s-new")))),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("input, select, textarea")) return;
    const done = KEYS[event.key] ? KEYS[event.key]() : event.key.startsWith("Arrow") && arrow(event.key);
    if (done) event.preventDefault();
  });

  document.addEventListener("mouseover", tellTime);
  document.addEventListener("focusin", tellDetail);
  document.addEventListener("focusout", () => setTimeout(tellDetail));
  document.addEventListener("selectionchange", settle);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && stream && source?.readyState !== 1) tryRefresh();
    listen();
  });
  logs().forEach(toEnd);
  listen();
  if (every > 0) {
    setTimeout(around, every);
    if (pause) {
      pause.hidden = false;
      pause.onclick = () => {
        paused = !paused;
        pause.setAttribute("aria-pressed", String(paused));
        pause.textContent = paused ? "go on" : "pause";
        listen();
      };
    }
  }
})();
