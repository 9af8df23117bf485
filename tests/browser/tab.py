"""A browser's tab that remembers everything it should not have seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Tab:
    """A page of the browser on a farm at `base`. `complaints`: errors, refusals (also of the content security
    policy), failed requests, requests to anybody else."""

    page: Any
    base: str
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(15_000)
        self.page.on("console", lambda said: self.complaints.append(f"console: {said.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.page.on("requestfailed", self._failed)
        self.page.on("request", self._asked)

    def _failed(self, request: Any) -> None:
        """A page that is left ends its event stream and its script's fetches; every other end is a complaint."""
        left = request.failure == "net::ERR_ABORTED"
        if not (left and request.resource_type in ("eventsource", "fetch")):
            self.complaints.append(f"failed: {request.url} {request.failure}")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.base + "/", "data:")):
            self.complaints.append(f"asked somebody else: {request.url}")

    def watch(self, sha: str) -> None:
        """From now on every look that a commit's first box takes is remembered, however short."""
        self.page.evaluate(
            """row => {
                window.looks = [];
                const look = () => {
                    const box = document.querySelector(`#${row} td.c .box`);
                    const now = box ? box.className.replace("box ", "") : "";
                    if (now && now !== looks.at(-1)) looks.push(now);
                };
                new MutationObserver(look).observe(document, {childList: true, subtree: true});
                look();
            }""",
            f"r-{sha[:12]}",
        )

    def looks(self) -> list[str]:
        """What `watch` has seen, without repetitions."""
        return list(self.page.evaluate("window.looks"))

    def open(self, path: str) -> Any:
        """Go to a page of the farm; returns the answer."""
        answer = self.page.goto(self.base + path)
        policy = answer.headers.get("content-security-policy", "")
        assert "default-src 'none'" in policy, path
        return answer

    def follow(self, text: str, *, exact: bool = True, where: str = "body") -> None:
        """Click the first link with this text and wait for its page."""
        self.page.locator(where).get_by_role("link", name=text, exact=exact).first.click()
        self.page.wait_for_load_state()

    def text(self) -> str:
        return str(self.page.locator("body").inner_text())

    def heading(self) -> str:
        return str(self.page.locator("h1").inner_text())

    def cell(self, sha: str, selector: str = "td.c") -> str:
        """The state class of a commit's first box (`s-ok`), "" while the commit is not there."""
        box = self.page.locator(f"#r-{sha[:12]} {selector} .box").first
        if not box.count():
            return ""
        return str(box.get_attribute("class")).removeprefix("box ")

    def sticks_out(self) -> int:
        """Pixels that the page is wider than its window."""
        wide = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        return int(wide)

    def links(self) -> list[str]:
        """The local addresses of the page's links, without fragments."""
        found = self.page.eval_on_selector_all("a[href]", "all => all.map(a => a.href)")
        local = (str(href).partition("#")[0] for href in found)
        return [href.removeprefix(self.base) for href in local if href.startswith(self.base + "/")]
