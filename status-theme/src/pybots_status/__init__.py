"""A Chromium-style status page for continuous-integration farms: page data in, HTML out."""

from pybots_status.render import render

__all__ = ["render"]
