"""Which answers of one configure script another may believe. The scripts are shaped as autoconf shapes them."""

from __future__ import annotations

import msgspec
import pytest

from pybots_worker import answers

LINK_TEST = """\
ac_fn_c_try_link ()
{
  rm -f conftest$ac_exeext
  (eval "$ac_link") 2>&5
}
"""
CHECK_FUNC = """\
ac_fn_c_check_func ()
{
  eval "test \\"\\${$3+set}\\"" || ac_fn_c_try_link "$LINENO" && eval "$3=yes"
}
"""
FORK = """\
{ $as_echo "$as_me:${as_lineno-$LINENO}: checking for working fork" >&5
if ${ac_cv_func_fork+:} false; then :
  $as_echo_n "(cached) " >&6
else
  echo 'int main(void) { return fork() < 0; }' >conftest.c
  ac_fn_c_try_link "$LINENO" && ac_cv_func_fork=yes
fi
"""
SIZE = """\
{ $as_echo "$as_me:${as_lineno-$LINENO}: checking size of long" >&5
test -n "$ac_cv_sizeof_long" || ac_cv_sizeof_long=8
"""
LIST = """\
for ac_func in alarm chown
do :
  as_ac_var=`$as_echo "ac_cv_func_$ac_func" | $as_tr_sh`
ac_fn_c_check_func "$LINENO" "$ac_func" "$as_ac_var"
if eval test \\"x\\$"$as_ac_var"\\" = x"yes"; then :
  echo "#define HAVE_$ac_func 1" >>confdefs.h
fi
done
"""
FLAGS = 'CFLAGS="$CFLAGS -pthread"\n'
SCRIPT = ("#! /bin/sh\nVERSION=3.10\n", LINK_TEST, CHECK_FUNC, FLAGS, FORK, SIZE, LIST)
CACHE = """\
# a comment
ac_cv_env_CC_value=gcc
ac_cv_func_alarm=${ac_cv_func_alarm=no}
ac_cv_func_fork=${ac_cv_func_fork=yes}
ac_cv_lib_error=${ac_cv_lib_error='none required'}
ac_cv_path_GREP=${ac_cv_path_GREP=/usr/bin/grep}
ac_cv_sizeof_long=${ac_cv_sizeof_long=8}
"""


def asked(*replaced: tuple[str, str]) -> answers.Questions:
    script = "".join(SCRIPT)
    for old, new in replaced:
        assert script.count(old) == 1, old
        script = script.replace(old, new)
    return answers.questions(script)


def carried(*replaced: tuple[str, str]) -> dict[str, str]:
    """What a changed script believes of what the first was told: name -> answer."""
    said = answers.agreed([answers.given(CACHE, asked())], asked(*replaced))
    lines = [line.removesuffix("}").split("=${") for line in said.splitlines()]
    return {name: value.partition("=")[2] for name, value in lines}


EVERYTHING = {
    "ac_cv_func_alarm": "no",
    "ac_cv_func_fork": "yes",
    "ac_cv_lib_error": "'none required'",
    "ac_cv_sizeof_long": "8",
}


def test_a_script_that_asks_the_same_believes_the_plain_answers() -> None:
    assert carried(("VERSION=3.10", "VERSION=3.11")) == EVERYTHING


def test_a_question_put_in_other_words_is_asked_again() -> None:
    assert carried(("fork() < 0", "fork() <= 0")) == {
        name: value for name, value in EVERYTHING.items() if name != "ac_cv_func_fork"
    }


def test_so_is_one_whose_function_changed() -> None:
    assert carried(("rm -f conftest$ac_exeext", "rm -f conftest")).keys() == {"ac_cv_sizeof_long"}
    assert carried(('eval "$3=yes"', 'eval "$3=no"')).keys() == {
        "ac_cv_func_fork",
        "ac_cv_sizeof_long",
    }


def test_a_list_may_grow() -> None:
    assert carried(("alarm chown", "alarm chown close_range")) == EVERYTHING


def test_a_new_question_between_others_leaves_them_their_answers() -> None:
    new = FORK.replace("fork", "vfork")
    assert carried(("checking size of long", "checking size of int"), (LIST, new + LIST)) == {
        name: value for name, value in EVERYTHING.items() if name != "ac_cv_sizeof_long"
    }


def test_flags_are_another_setting_wherever_they_stand() -> None:
    assert asked().setting == asked(("VERSION=3.10", "VERSION=3.11")).setting
    assert asked().setting != asked(("-pthread", "-pthread -std=c11")).setting
    assert asked().setting != asked((SIZE, SIZE + "#define _GNU_SOURCE 1\n")).setting


def test_what_two_were_told_differently_nobody_believes() -> None:
    one = answers.given(CACHE, asked())
    other = answers.given(CACHE.replace("=yes", "=no"), asked())
    assert "ac_cv_func_fork" not in answers.agreed([one, other], asked())
    assert "ac_cv_func_alarm" in answers.agreed([one, other], asked())


@pytest.mark.parametrize(
    "line",
    [
        "ac_cv_a=${ac_cv_a=$(touch /tmp/x)}",
        "ac_cv_a=${ac_cv_a=yes}; touch /tmp/x",
        "ac_cv_a=${ac_cv_b=yes}",
        "ac_cv_a=${ac_cv_a='yes; touch x'}",
        "PATH=${PATH=yes}",
        "ac_cv_a=${ac_cv_a=yes",
        "ac_cv_a=${ac_cv_a=" + "9" * 10 + "}",
        "ac_cv_a=${ac_cv_a=yes}\r",
    ],
)
def test_nothing_but_plain_answers_is_carried_over(line: str) -> None:
    assert answers.given(line + "\n", asked()) == {}


def test_answers_survive_their_file() -> None:
    told = answers.given(CACHE, asked())
    assert msgspec.json.decode(msgspec.json.encode(told), type=answers.Answers) == told


@pytest.mark.parametrize("script", ["", "echo hello\n", "ac_fn_c_x ()\n" * 3, "}\n}\n", "\udcff\n"])
def test_a_script_that_is_none_asks_nothing(script: str) -> None:
    assert dict(answers.questions(script).named) == {}


def test_a_hostile_script_costs_no_more_than_a_long_one() -> None:
    """Each of its calls would otherwise read a long function anew, for each of the names beside it."""
    function = "ac_fn_c_x ()\n" + "# nothing\n" * 10_000 + "}\n"
    call = 'ac_fn_c_x "$LINENO" ac_cv_a ac_cv_b ac_cv_c\n'
    assert len(answers.questions(function + call * 30_000).named) == 3
