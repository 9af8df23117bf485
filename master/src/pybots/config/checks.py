"""What a single value must look like: addresses, URLs, branch names … as annotated types for the schemas.

Each check returns the value or raises `wrong(message, mend)`; `closed` turns that into a Problem.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from email.errors import HeaderParseError
from email.headerregistry import Address
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

OWN_KIND: Final = "pybots"
"""The error type of our own checks; their context carries message, mend and whether the value may be shown."""

SYSTEMS: Final = ("linux", "darwin", "freebsd", "netbsd", "openbsd")
MACHINES: Final = (
    "x86_64", "amd64", "aarch64", "arm64", "armv7l", "i686", "ppc64le", "s390x", "riscv64", "loongarch64",
)  # fmt: skip
# As the worker kit says it (platform.system() and machine() in lower case).
PLATFORMS: Final = tuple(f"{system}-{machine}" for system in SYSTEMS for machine in MACHINES)

# The kit sets these itself; another value would test something else than what the page says.
KITS_OWN: Final = frozenset({"PATH", "HOME", "VIRTUAL_ENV", "PYTHONHOME", "PYTHONPYCACHEPREFIX"})
KITS_PREFIXES: Final = ("PYBOTS_", "UV_", "LD_")

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_FACT = re.compile(r"[a-z0-9][a-z0-9._:+-]{0,79}")
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REVISION = re.compile(r"[A-Za-z0-9][\w./^~@-]{0,199}", re.ASCII)
_SECRET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
_REF_FORBIDDEN = re.compile(
    r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|^[./-]|[./]$|\.lock(/|$)|^@$"
)
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?|::1?")
_AS_OF = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?)?")


def wrong(message: str, mend: str = "", *, show: bool = True) -> PydanticCustomError:
    """The error a check raises. `show=False` keeps the value itself out of the message (it may be a secret)."""
    context: dict[str, Any] = {"message": message, "mend": mend, "show": show}
    return PydanticCustomError(OWN_KIND, "{message}", context)


def name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise wrong(
            "is not a name", "use up to 80 of a-z, 0-9, '.', '_' and '-', beginning with a-z or 0-9"
        )
    return value


def line(value: str) -> str:
    if any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise wrong("has control characters", "write it on one line")
    return value


def paragraph(value: str) -> str:
    if any(ord(c) < 32 and c not in "\n\t" for c in value):
        raise wrong("has control characters", "remove them")
    return value


def word(value: str) -> str:
    if not value:
        raise wrong("is empty", "remove it or fill it in")
    if "\x00" in value:
        raise wrong("has a NUL character", "remove it")
    return value


def mail_address(value: str) -> str:
    """A plain ASCII user@host. Anything that could begin another header is refused."""
    mend = "write it as user@example.org"
    if (
        len(value) > 254
        or not value.isascii()
        or any(c <= " " or c in '<>,;"()\x7f' for c in value)
    ):
        raise wrong("is not a mail address", mend)
    try:
        address = Address(addr_spec=value)
    except (HeaderParseError, ValueError, IndexError) as error:
        raise wrong("is not a mail address", mend) from error
    if not address.username or not _HOST.fullmatch(address.domain):
        raise wrong("is not a mail address", mend)
    return value


def web_address(value: str) -> str:
    """An absolute http or https URL without credentials."""
    mend = "write it as https://example.org/…"
    parts = _split(value, mend)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise wrong("is not an http or https address", mend)
    _without_password(value, allow_user=False)
    return value


def farm_address(value: str) -> str:
    """The page's public address: a folder, so it ends with a slash and has neither query nor fragment."""
    parts = urlsplit(web_address(value))
    if parts.query or parts.fragment:
        raise wrong("has a query or a fragment", "leave out everything from '?' or '#' on")
    return value if value.endswith("/") else value + "/"


def git_address(value: str) -> str:
    """What `git fetch` is given: https, http, ssh, git or file URL, or an absolute path of this machine."""
    mend = "write https://…, ssh://…, git://…, file:///… or an absolute path"
    if value.startswith("/"):
        return line(value)
    if re.match(r"[\w.-]+@[\w.-]+:", value):
        host, _, path = value.partition(":")
        raise wrong("is not a git URL", f"write ssh://{host[:60]}/{path[:60]}")
    parts = _split(value, mend)
    if parts.scheme not in ("https", "http", "ssh", "git", "file"):
        raise wrong("is not a git URL", mend)
    if parts.scheme == "file" and (parts.netloc or not parts.path.startswith("/")):
        raise wrong("is not a file URL", "write file:///absolute/path")
    if parts.scheme != "file" and (not parts.hostname or parts.hostname.startswith("-")):
        raise wrong("has no host", mend)
    _without_password(value, allow_user=parts.scheme == "ssh")
    return value


def _split(value: str, mend: str) -> Any:
    if any(c <= " " or c == "\x7f" for c in value):
        raise wrong("has spaces or control characters", mend)
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError as error:
        raise wrong("is not a URL", mend) from error
    return parts


def _without_password(value: str, *, allow_user: bool) -> None:
    parts = urlsplit(value)
    if parts.password is not None or (parts.username is not None and not allow_user):
        raise wrong(
            "has a user name or password in it",
            "leave it out: the address is shown on public pages",
            show=False,
        )


def branch(value: str) -> str:
    """A branch or tag by the rules of git-check-ref-format."""
    if not value or len(value) > 200 or _REF_FORBIDDEN.search(value):
        raise wrong("is not a branch or tag name", "see `git help check-ref-format`")
    if value.startswith("refs/"):
        raise wrong("is a full reference", f"write {value.rsplit('/', 1)[-1]!r}")
    return value


def relative(value: str) -> str:
    """A path inside the project's source tree."""
    if (
        value.startswith("/")
        or ".." in value.split("/")
        or set(value) & set("\x00\\:")
        or not value
    ):
        mend = "write it relative, with '/', without '..' and ':'"
        raise wrong("is not a path inside the source tree", mend)
    return value


def absolute(value: str) -> str:
    if not value.startswith("/") or "\x00" in value:
        raise wrong("is not an absolute path", "begin it with '/'")
    return value


def requirement(value: str) -> str:
    """A PEP 508 requirement; options (`-r file`, `--index-url`) are none."""
    try:
        Requirement(value)
    except (InvalidRequirement, RecursionError) as error:
        raise wrong("is not a requirement", "write it as name>=1.2 or name @ https://…") from error
    return value


def version(value: str) -> str:
    try:
        if value:
            Version(value)
    except InvalidVersion as error:
        raise wrong("is not a version", 'write it as "1.2.3", or "" for the newest') from error
    return value


def variable(value: str) -> str:
    if not _VARIABLE.fullmatch(value):
        raise wrong("is not the name of an environment variable", "use A-Z, 0-9 and '_'")
    if value in KITS_OWN or value.startswith(KITS_PREFIXES):
        raise wrong("is set by the worker kit itself", "remove it")
    return value


def platform(value: str) -> str:
    if value not in PLATFORMS:
        systems = ", ".join(SYSTEMS)
        raise wrong(
            "is not a platform",
            near(value, PLATFORMS, likeness=0.8) or f"os-machine, os one of {systems}",
        )
    return value


def host(value: str) -> str:
    if not _HOST.fullmatch(value) or len(value) > 253:
        raise wrong(
            "is not a host name or address", 'write it as "127.0.0.1" or "mail.example.org"'
        )
    return value


def _pattern(pattern: re.Pattern[str], message: str, mend: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise wrong(message, mend)
        return value

    return check


def date_text(value: Any) -> Any:
    """TOML has dates: `as_of = 2025-01-31` is as good as the text."""
    return value.isoformat() if hasattr(value, "isoformat") else value


def _or_empty(check: Callable[[str], str]) -> AfterValidator:
    """The empty text stands for "not given". (A union with Literal[""] would report both of its halves.)"""
    return AfterValidator(lambda value: check(value) if value else value)


distribution = _pattern(_DISTRIBUTION, "is not a distribution's name", "as on the package index")
fact = _pattern(_FACT, "is not a fact", "use a-z, 0-9 and . _ : + -")
module = _pattern(_MODULE, "is not an import name", "write it as package.module")
revision = _pattern(_REVISION, "is not a revision", "a commit, tag or branch, as git knows it")
secret_name = _pattern(_SECRET, "is not the name of a secret", "name a file in <farm>/secrets")
as_of = _pattern(_AS_OF, "is not a date", 'write it as "2025-01-31" or "2025-01-31T12:00:00Z"')


def near(value: str, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """`did you mean "…"?` when a known word is close to the value, else the empty string."""
    close = difflib.get_close_matches(value, list(known), n=1, cutoff=likeness)
    return f'did you mean "{close[0]}"?' if close else ""


Name = Annotated[str, AfterValidator(name)]
Line = Annotated[str, Field(max_length=4000), AfterValidator(line)]
Title = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(line)]
Paragraph = Annotated[str, Field(max_length=4000), AfterValidator(paragraph)]
Word = Annotated[str, Field(max_length=4000), AfterValidator(word)]
Value = Annotated[str, Field(max_length=4000), AfterValidator(paragraph)]
MailAddress = Annotated[str, AfterValidator(mail_address)]
WebAddress = Annotated[str, Field(max_length=2000), AfterValidator(web_address)]
FarmAddress = Annotated[str, Field(max_length=2000), AfterValidator(farm_address)]
GitAddress = Annotated[str, Field(max_length=2000), AfterValidator(git_address)]
Branch = Annotated[str, AfterValidator(branch)]
RelPath = Annotated[str, Field(max_length=500), AfterValidator(relative)]
AbsPath = Annotated[str, Field(max_length=4000), AfterValidator(absolute)]
RequirementLine = Annotated[str, Field(max_length=4000), AfterValidator(requirement)]
VersionOrNewest = Annotated[str, Field(max_length=100), AfterValidator(version)]
Variable = Annotated[str, AfterValidator(variable)]
Platform = Annotated[str, AfterValidator(platform)]
Host = Annotated[str, AfterValidator(host)]
Port = Annotated[int, Field(ge=1, le=65535)]
Distribution = Annotated[str, AfterValidator(distribution)]
Fact = Annotated[str, AfterValidator(fact)]
Module = Annotated[str, AfterValidator(module)]

# Settings whose empty text means "none".
WebAddressOrNone = Annotated[str, Field(max_length=2000), _or_empty(web_address)]
BranchOrNone = Annotated[str, _or_empty(branch)]
PathOrNone = Annotated[str, Field(max_length=500), _or_empty(relative)]
RevisionOrNone = Annotated[str, _or_empty(revision)]
SecretOrNone = Annotated[str, _or_empty(secret_name)]
AsOfOrNone = Annotated[str, _or_empty(as_of)]
