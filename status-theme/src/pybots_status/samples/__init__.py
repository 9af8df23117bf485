"""Every page with invented data, in every state: for the preview, for tests, and as an example of how pages are filled."""

from __future__ import annotations

from typing import Final

from pybots_status.pages import Page
from pybots_status.samples import breakages, console, others, overviews, projects, runs, waterfall

SAMPLES: Final[dict[str, Page]] = {
    **console.SAMPLES,
    **waterfall.SAMPLES,
    **runs.SAMPLES,
    **projects.SAMPLES,
    **breakages.SAMPLES,
    **others.SAMPLES,
    **overviews.SAMPLES,
}
"""Name of the preview file → page. The part before the first dash is the kind of page."""
