// Optional. Without it the page refreshes itself by <noscript> and everything else works the same.
(() => {
  "use strict";
  const root = document.documentElement;
  const every = Number(root.dataset.refresh) * 1000;
  const pause = document.getElementById("pause");
  const shown = {};
  let paused = false;

  // The reader's own time on hover; the page itself says UTC.
  const localTimes = () => {
    for (const time of document.querySelectorAll("time[datetime]")) {
      time.title = new Date(time.dateTime).toLocaleString() + " here";
    }
  };

  const followLogs = () => {
    for (const log of document.querySelectorAll("[data-follow]")) log.scrollTop = log.scrollHeight;
  };

  const busy = () =>
    paused || document.hidden || !getSelection().isCollapsed ||
    /^(INPUT|SELECT)$/.test(document.activeElement?.tagName);

  // What the reader opened stays open, what has the focus keeps it, where the page stands it stays.
  const keep = () => {
    const open = [...document.querySelectorAll("details")].map((d) => d.open);
    const at = document.activeElement?.getAttribute?.("href");
    return () => {
      document.querySelectorAll("details").forEach((d, i) => { if (i in open) d.open = open[i]; });
      if (at) document.querySelector(`a[href="${CSS.escape(at)}"]`)?.focus({ preventScroll: true });
    };
  };

  const refresh = async () => {
    if (!busy()) {
      try {
        const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
        if (answer.ok) {
          const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
          const restore = keep();
          for (const id of ["top", "content"]) {
            const old = document.getElementById(id), now = fresh.getElementById(id);
            if (!old || !now || shown[id] === now.innerHTML) continue;
            shown[id] = now.innerHTML; // as it came, before localTimes changes it
            old.replaceWith(now);
          }
          document.title = fresh.title;
          restore();
          localTimes();
          followLogs();
        }
      } catch { /* the next round tries again */ }
    }
    setTimeout(refresh, every * (0.9 + Math.random() / 5));
  };

  localTimes();
  followLogs();
  if (every > 0) {
    setTimeout(refresh, every);
    if (pause) {
      pause.hidden = false;
      pause.onclick = () => {
        paused = !paused;
        pause.setAttribute("aria-pressed", String(paused));
        pause.textContent = paused ? "go on" : "pause";
      };
    }
  }
})();
