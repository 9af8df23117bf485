"""Job and Report are frozen: what crosses the wire changes only when somebody says so.

python -m tests.unit.worker.test_contract      accepts what there is now as the new golden files
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.worker import kit_builders as make

from pybots_worker import contract
from pybots_worker.contract import ContractError, Job, Report, decode_job, decode_report, encode

GOLDEN = Path(__file__).parents[1] / "golden"
COMMAND = "python -m tests.unit.worker.test_contract"
MESSAGES: dict[str, Job | Report] = {
    "job_interpreter": make.make_job(make.make_interpreter_work()),
    "job_project": make.make_job(),
    "report_interpreter": make.make_interpreter_report(),
    "report_project": make.make_project_report(),
}
SCHEMAS: dict[str, type[Job] | type[Report]] = {"job": Job, "report": Report}


def wanted() -> dict[str, bytes]:
    """Every golden file as it should be now."""
    files = {f"{name}.json": pretty(encode(message)) for name, message in MESSAGES.items()}
    for name, kind in SCHEMAS.items():
        files[f"{name}.schema.json"] = pretty(msgspec.json.encode(contract.schema(kind)))
    return files


def pretty(data: bytes) -> bytes:
    return msgspec.json.format(data, indent=2) + b"\n"


@pytest.mark.parametrize("name", sorted(wanted()))
def test_the_contract_is_what_was_agreed(name: str) -> None:
    """An older master or worker reads what this one writes."""
    found = (GOLDEN / name).read_bytes() if (GOLDEN / name).exists() else b""
    if found != wanted()[name]:
        pytest.fail(f"{name} has changed. Old workers will refuse it? If it is meant: {COMMAND}")


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_golden_message_is_read_as_it_was_written(name: str) -> None:
    data = (GOLDEN / f"{name}.json").read_bytes()
    decode = decode_job if name.startswith("job") else decode_report
    assert decode(data) == MESSAGES[name]


def changed(message: Job | Report, path: str, value: Any) -> bytes:
    """The message's JSON with one place changed; `path` is dotted, a number is a place in a list."""
    data = msgspec.json.decode(encode(message))
    *folders, last = path.split(".")
    here = data
    for name in folders:
        here = here[int(name)] if name.isdigit() else here[name]
    here[last] = value
    return msgspec.json.encode(data)


JOB, REPORT = MESSAGES["job_project"], MESSAGES["report_project"]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("shell", "rm -rf /", "unknown field `shell`"),
        ("contract", 2, "`int` <= 1"),
        ("contract", 0, ">= 1"),
        ("run", "7", "Expected `int`"),
        ("purpose", "fun", "$.purpose"),
        ("work.kind", "anything", "$.work"),
        ("work.project", "../../etc", "$.work.project"),
        ("work.project", "UPPER", "$.work.project"),
        ("work.test.runner", "sh", "$.work.test.runner"),
        ("work.test.directory", "../..", "$.work.test.directory"),
        ("work.test.directory", "/etc", "$.work.test.directory"),
        ("work.test.directory", "..\\..\\x", "$.work.test.directory"),
        ("work.test.directory", "C:x", "$.work.test.directory"),
        ("work.test.results", "a/../../b", "$.work.test.results"),
        ("work.test.results", "a\n/../../b", "$.work.test.results"),
        ("work.project", "trellis\n", "$.work.project"),
        ("work.install.requirement_files", ["/etc/passwd"], "$.work.install.requirement_files"),
        ("work.install.as_of", "yesterday", "$.work.install.as_of"),
        ("work.source.blob.url", "gopher://x/y", "$.work.source.blob.url"),
        ("work.source.blob.sha256", "AB" * 32, "$.work.source.blob.sha256"),
        ("work.source.blob.size", -1, "$.work.source.blob.size"),
        ("work.env", {"A": 1}, "$.work.env"),
        ("limits.test.wall_seconds", 0, "> 0"),
        ("limits.test.memory_bytes", 0, ">= 1"),
        ("limits.party", {}, "$.limits"),
    ],
)
def test_a_job_that_does_not_fit_is_refused_with_the_place(
    path: str, value: Any, said: str
) -> None:
    with pytest.raises(ContractError, match="not a Job") as error:
        decode_job(changed(JOB, path, value))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("tests.0.outcome", "great"),
        ("tests.0.id", ""),
        ("tests.0.id", "x" * 20_001),
        ("tests.0.seconds", -1),
        ("tests.0.html", "<b>"),
        ("tests.1.failure.detail", "x" * 20_001),
        ("phases.0.ended", "well"),
        ("phases.0.exit_code", 4096),
        ("phases.0.signal", 0),
        ("environment.platform", "Linux x86"),
        ("started", -1),
        ("finished", 1e300),
        ("kind", "other"),
        ("environment.platform", "linux-x86_64\n"),
    ],
)
def test_a_report_that_does_not_fit_is_refused_with_the_place(path: str, value: Any) -> None:
    with pytest.raises(ContractError, match=r"not a Report: .* - at `\$\."):
        decode_report(changed(REPORT, path, value))


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"contract": 1e999}'],
    ids=["empty", "half", "null", "list", "text", "bytes", "deep", "infinite"],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    for decode in (decode_job, decode_report):
        with pytest.raises(ContractError):
            decode(data)


def test_nan_is_no_duration() -> None:
    data = encode(REPORT).replace(b'"seconds":0.25', b'"seconds":NaN')
    with pytest.raises(ContractError):
        decode_report(data)


def test_a_message_that_is_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(ContractError, match="may have"):
        decode_job(b" " * (contract.MAX_JOB_BYTES + 1))
    with pytest.raises(ContractError, match="may have"):
        decode_report(b" " * (contract.MAX_REPORT_BYTES + 1))


def test_a_job_without_limits_for_each_of_its_phases_is_refused() -> None:
    limits = dict.fromkeys(("interpreter", "source", "install", "report"), make.LIMITS)
    with pytest.raises(ContractError, match="no limits for test"):
        decode_job(encode(make.make_job(limits=limits)))


def test_equal_messages_have_equal_digests() -> None:
    again = decode_report(encode(REPORT))
    assert contract.digest(encode(again)) == contract.digest(encode(REPORT))


def accept() -> None:
    """Write the golden files anew."""
    GOLDEN.mkdir(exist_ok=True)
    for name, data in wanted().items():
        if not (GOLDEN / name).exists() or (GOLDEN / name).read_bytes() != data:
            (GOLDEN / name).write_bytes(data)
            print(f"accepted {name}")


if __name__ == "__main__":
    accept()
