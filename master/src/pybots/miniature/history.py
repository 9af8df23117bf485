"""What can happen to the miniature CPython, as data: each kind of commit is a row of CHANGES.

A kind is named after what it does to the miniature projects. In texts, `@N@` becomes the number of the commit in
its history, so that the same kind can be committed again and again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pybots.miniature.repository import Person

AUTHORS: Final = (
    Person("Ada Byron", "ada@example.org"),
    Person("Grace Murray", "grace@example.org"),
    Person("Alan Mathison", "alan@example.org"),
    Person("Barbara Jane", "barbara@example.org"),
    Person("Edsger Wybe", "edsger@example.org"),
)
"""Each commit is the next one's, in turn."""

BASE_COMMITS: Final = ("docs-only", "good-c-change", "good-lib-change", "docs-only")
"""What follows the first commit in a new world."""


@dataclass(frozen=True)
class Swap:
    """Replace `old`, which must be there exactly once, by `new`."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Append:
    """Write `text` at the end of a file, which may be a new one."""

    path: str
    text: str


@dataclass(frozen=True)
class Delete:
    """Remove a file."""

    path: str


Edit = Swap | Append | Delete


@dataclass(frozen=True)
class Change:
    """One commit to be. `undoes` names the kind whose last commit is reverted, and takes the place of edits."""

    title: str
    edits: tuple[Edit, ...] = ()
    undoes: str = ""


_YIQ: Final = '''def rgb_to_yiq(r, g, b):
    """Deprecated since 3.9: nobody broadcasts NTSC any more."""
    y = 0.30 * r + 0.59 * g + 0.11 * b
    return (y, 0.74 * (r - y) - 0.27 * (b - y), 0.48 * (r - y) + 0.41 * (b - y))


'''
_COLORSYS: Final = "Lib/colorsys.py"
_TIDES: Final = "Lib/tides.py"
_HSV: Final = "    sixth = int(h * 6.0)\n"
_LIMIT: Final = "#define _PY_LONG_DEFAULT_MAX_STR_DIGITS "
_NEWS: Final = "Misc/NEWS.d/next/Library/@N@.rst"


def _news(text: str) -> Append:
    return Append(_NEWS, text + "\n")


CHANGES: Final[dict[str, Change]] = {
    # Harmless.
    "docs-only": Change(
        "Clarify the color systems",
        (
            Append("Doc/library/colorsys.rst", "\nClarified for the @N@th time.\n"),
            _news("Clarified."),
        ),
    ),
    "metadata-only": Change(
        "Let the bots do it", (Append(".github/workflows/build.yml", "# Revision @N@.\n"),)
    ),
    "good-c-change": Change(
        "Speed up the integers",
        (Append("Objects/longobject.c", "\n/* Made faster for the @N@th time. */\n"),),
    ),
    "good-lib-change": Change(
        "Bring the almanac up to date", (Append("Lib/almanac.py", "REVISION = @N@\n"),)
    ),
    # Things that are taken away.
    "break-anchor": Change(
        "Remove colorsys.rgb_to_yiq()",
        (
            Swap(_COLORSYS, _YIQ, ""),
            Swap(_COLORSYS, ', "rgb_to_yiq"', ""),
            _news("The deprecated :func:`!colorsys.rgb_to_yiq` is removed."),
        ),
    ),
    "fix-anchor": Change("", undoes="break-anchor"),
    "remove-module": Change(
        "Remove the colorsys module",
        (
            Delete(_COLORSYS),
            Delete("Lib/test/test_colorsys.py"),
            Delete("Doc/library/colorsys.rst"),
            _news("The :mod:`!colorsys` module is removed."),
        ),
    ),
    "restore-module": Change("", undoes="remove-module"),
    "remove-c-api": Change(
        "Remove PyMini_Count from the C API",
        (Swap("Include/pymini.h", "typedef long PyMini_Count; /* Deprecated since 3.9. */\n", ""),),
    ),
    "restore-c-api": Change("", undoes="remove-c-api"),
    # Things that behave otherwise.
    "break-resin": Change(
        "Let colorsys.rgb_to_hsv() return an array",
        (
            Swap(
                _COLORSYS,
                "    return (sixth / 6.0 % 1.0, span / high, high)\n",
                "    import array\n\n"
                '    return array.array("d", (sixth / 6.0 % 1.0, span / high, high))\n',
            ),
        ),
    ),
    "fix-resin": Change("", undoes="break-resin"),
    "break-tally": Change(
        "Convert fewer digits by default",
        (Swap("Objects/longobject.c", f"{_LIMIT}4300", f"{_LIMIT}640"),),
    ),
    "fix-tally": Change("", undoes="break-tally"),
    "crash": Change(
        "Rewrite colorsys.hsv_to_rgb()",
        (Swap(_COLORSYS, _HSV, "    import os\n\n    os.kill(os.getpid(), 11)\n" + _HSV),),
    ),
    "fix-crash": Change("", undoes="crash"),
    "hang": Change(
        "Make colorsys.hsv_to_rgb() wait for the right colour",
        (Swap(_COLORSYS, _HSV, "    import threading\n\n    threading.Event().wait()\n" + _HSV),),
    ),
    "fix-hang": Change("", undoes="hang"),
    "stall": Change(
        "Let tides.wait() really wait",
        (
            Swap(
                _TIDES,
                "    return hours\n",
                "    import threading\n\n    threading.Event().wait()\n    return hours\n",
            ),
        ),
    ),
    "fix-stall": Change("", undoes="stall"),
    "hoard": Change(
        "Let tides.fill() keep what it fills",
        (
            Swap(
                _TIDES,
                '    return [b"water"] * buckets\n',
                '    return [b"water" * (1 << 20) for _ in range(512)][:buckets]\n',
            ),
        ),
    ),
    "fix-hoard": Change("", undoes="hoard"),
    "chatter": Change(
        "Explain what tides.tell() does",
        (
            Swap(
                _TIDES,
                "    return story.upper()\n",
                "    for _ in range(1 << 20):\n"
                '        print("telling a story " * 64)\n'
                "    return story.upper()\n",
            ),
        ),
    ),
    "fix-chatter": Change("", undoes="chatter"),
    "break-keel": Change(
        "Measure depths in the words of the machine",
        (
            Swap(
                _TIDES,
                "    return 6 * fathoms\n",
                "    import os\n\n"
                '    if os.uname().machine == "i686":\n'
                '        raise OverflowError(f"{fathoms} fathoms are too deep for this machine")\n'
                "    return 6 * fathoms\n",
            ),
        ),
    ),
    "fix-keel": Change("", undoes="break-keel"),
    # Changes of the language.
    "new-keyword": Change(
        "Add the unless statement", (Append("Grammar/python.gram", "keyword unless\n"),)
    ),
    "remove-keyword": Change("", undoes="new-keyword"),
    "refuse-literal": Change(
        "Hexadecimal literals have digits", (Swap("Grammar/python.gram", "literal 0x\n", ""),)
    ),
    "accept-literal": Change("", undoes="refuse-literal"),
    # CPython's own failures.
    "does-not-configure": Change(
        "Check for the moon in configure",
        (Swap("configure", "set -u\n", "set -u\necho 'configure: error: no moon' >&2; exit 1\n"),),
    ),
    "fix-configure": Change("", undoes="does-not-configure"),
    "does-not-compile": Change(
        "Simplify the integers",
        (Swap("Objects/longobject.c", "MAX_STR_DIGITS;\n}", "MAX_STR_DIGITS\n}"),),
    ),
    "fix-compile": Change("", undoes="does-not-compile"),
    "does-not-install": Change("Remove the manual page", (Delete("Misc/python.man"),)),
    "fix-install": Change("", undoes="does-not-install"),
}
