"""The engine and the child together, on small graders made for one question each."""

import tracemalloc

import pytest
from deadlines import WAIT_S

from rtlab.errors import UsageError
from rtlab.grading.exercise_run import ProcessLimits
from rtlab.grading.printed import LINE_CHARACTERS
from rtlab.grading.results import Verdict

pytestmark = pytest.mark.usefixtures("leaves_no_process")

SOON_S = 1
"""Seconds until what hangs is ended. What it does until it hangs takes a fraction of them."""
CHECK = "@check(points=2, hints=('a', 'b'))\n"
ANSWER = CHECK + "def test_it(submission):\n    expect('the answer', submission.answer(), equals=42)\n"
ANSWER_ASYNC = (
    CHECK + "async def test_it(submission):\n    expect('the answer', await submission.answer(), equals=42)\n"
)


def test_a_sync_check_passes(grade_tiny):
    result = grade_tiny(ANSWER, "def answer():\n    print('noise')\n    return 42\n")
    assert (result.verdict, result.points, result.message, result.output) == (Verdict.PASSED, 2, "", ())


def test_what_came_is_in_the_sentence_and_what_was_printed_beside_it(grade_tiny):
    result = grade_tiny(ANSWER, "def answer():\n    print('thinking')\n    return 41\n")
    assert result.message == "expected the answer to be 42; got 41"
    assert result.output == ("thinking",)
    assert result.points == 0


PRINTED_MIB = 32


def test_whoever_prints_a_lot_pays_neither_points_nor_memory(grade_tiny):
    """The end is kept, cut, and what came before is nowhere."""
    prints = f"    for _ in range({PRINTED_MIB * 64}):\n        print('x' * 16383)\n    print('the end')\n"
    patience = ProcessLimits(deadline_s=WAIT_S)  # tracing makes us slow, and so the one that prints
    assert grade_tiny(ANSWER, f"def answer():\n{prints}    return 42\n", limits=patience).verdict is Verdict.PASSED
    tracemalloc.start()
    try:
        result = grade_tiny(ANSWER, f"def answer():\n{prints}    return 41\n", limits=patience)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.message == "expected the answer to be 42; got 41"
    assert result.output[-2:] == ("x" * LINE_CHARACTERS + "…", "the end")
    assert peak < PRINTED_MIB * 2**20 / 8


def test_what_a_forked_process_prints_later_ends_with_the_check(grade_tiny):
    submission = (
        "import os\ndef answer():\n    if os.fork() == 0:\n        while True: print('x' * 10**6)\n    return 42\n"
    )
    assert "left a process running behind" in grade_tiny(ANSWER, submission).message


@pytest.mark.parametrize("body", ["pass", "submission.answer()", "return True", "1 + 1"])
def test_a_check_that_observes_nothing_is_unknown(grade_tiny, body):
    result = grade_tiny(f"{CHECK}def test_it(submission):\n    {body}\n", "def answer():\n    return 42\n")
    assert result.verdict is Verdict.UNKNOWN
    assert "without having observed anything" in result.message


@pytest.mark.parametrize(
    ("grader", "sentence"),
    [
        ("import no_such_module\n\n" + ANSWER, "No module named 'no_such_module'"),
        (CHECK + "def test_it(submission):\n    expect('x', 1)\n", "expect needs exactly one of"),
        (CHECK + "def test_it(submission):\n    assert submission.answer() == 41\n", r"AssertionError in test_tiny.py"),
        (
            CHECK + "def test_it(submission):\n    1 / 0\n",
            "ZeroDivisionError: division by zero in test_tiny.py, line 5",
        ),
    ],
)
def test_a_broken_grader_is_unknown(grade_tiny, grader, sentence):
    result = grade_tiny(grader, "def answer():\n    return 42\n")
    assert result.verdict is Verdict.UNKNOWN
    assert sentence in result.message


@pytest.mark.parametrize(
    ("submission", "sentence"),
    [
        ("def answer():\n    return {}['item']\n", "your code raised KeyError: 'item' (tiny.py, line 2)"),
        ("import json\ndef answer():\n    json.loads('{')\n", "(tiny.py, line 3)"),
        ("def answer(x):\n    return 42\n", "called with other arguments than it takes: answer() missing 1"),
        ("def reply():\n    return 42\n", "tiny.py defines no `answer`"),
        ("answer = 42\n", "TypeError: 'int' object is not callable"),
        ("raise ValueError('no')\n", "your code raised ValueError: no (tiny.py, line 1)"),
        ("import nothing_like_it\n", "No module named 'nothing_like_it' (tiny.py, line 1)"),
    ],
)
def test_whose_fault_it_is(grade_tiny, submission, sentence):
    assert sentence in grade_tiny(ANSWER, submission).message


EVENT = (
    CHECK
    + """async def test_it(submission):
    import asyncio
    handlers = {}
    submission.register(handlers)
    async def library():
        task = asyncio.current_task()  # keeps itself alive, as a library's task may
        handlers["order"](1, 2)
    asyncio.create_task(library())
    await expect.arrives("an answer", asyncio.Event().wait(), within_s=0.05)
"""
)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ("a", "called with other arguments than it takes: register.<locals>.place() takes 1 positional"),
        ("a, b", "Your code raised KeyError: 'item' (tiny.py, line 3)"),
    ],
)
def test_a_handler_that_failed_unseen_is_named(grade_tiny, parameters, sentence):
    text = (
        f"def register(handlers):\n    def place({parameters}):\n        {{}}['item']\n    handlers['order'] = place\n"
    )
    result = grade_tiny(EVENT, text)
    assert result.verdict is Verdict.FAILED
    assert sentence in result.message


def test_awaiting_what_is_no_coroutine(grade_tiny):
    result = grade_tiny(ANSWER_ASYNC, "def answer():\n    return 42\n")
    assert result.verdict is Verdict.FAILED
    assert "it is of type int: is it an `async def`?" in result.message


@pytest.mark.parametrize(
    "submission",
    [
        "async def answer():\n    raise NotImplementedError\n",
        "raise NotImplementedError('all of it')\n",
        (
            "import asyncio\nasync def answer():\n    async with asyncio.TaskGroup() as group:\n"
            "        group.create_task(part())\nasync def part():\n    raise NotImplementedError\n"
        ),
    ],
)
def test_not_implemented_is_to_do(grade_tiny, submission):
    result = grade_tiny(ANSWER_ASYNC, submission)
    assert result.verdict is Verdict.TODO
    assert result.message.startswith("not written yet (tiny.py, line ")


FAILING_STORE = """
def fail():
    raise OSError("the check's own")

@check(points=1, hints=("a",))
async def test_it(submission):
    expect("the answer", await submission.answer(fail), equals="failed")
"""
HANDLES = """import logging

async def answer(save):
    try:
        {line}
    except Exception:
        logging.exception("save failed")
    return "late"
"""


def test_what_the_check_raised_and_the_submission_logged_explains_nothing(grade_tiny):
    handled = grade_tiny(FAILING_STORE, HANDLES.format(line="save()"))
    assert handled.message == "expected the answer to be 'failed'; got 'late'"
    own = grade_tiny(FAILING_STORE, HANDLES.format(line="svae()"))
    assert own.message.endswith("Your code raised NameError: name 'svae' is not defined (tiny.py, line 5)")
    unhandled = grade_tiny(FAILING_STORE, "async def answer(save):\n    save()\n")
    assert "OSError: the check's own (tiny.py, line 2)" in unhandled.message


def test_somebody_elses_not_implemented_is_a_failure(grade_tiny):
    library = "import logging\nasync def answer():\n    logging.Handler().emit(None)\n"
    result = grade_tiny(ANSWER_ASYNC, library)
    assert result.verdict is Verdict.FAILED
    assert "NotImplementedError" in result.message


def test_a_submission_cannot_swallow_a_failed_expectation(grade_tiny):
    grader = (
        CHECK + "def test_it(submission):\n"
        "    submission.call(lambda got: expect('what the callback gets', got, equals=42))\n"
    )
    submission = "def call(callback):\n    try:\n        callback(41)\n    except BaseException:\n        pass\n"
    assert grade_tiny(grader, submission).message == "expected what the callback gets to be 42; got 41"


def test_a_check_that_waits_for_what_never_comes(grade_tiny):
    grader = (
        "import asyncio\n\n" + CHECK + "async def test_it(submission):\n"
        "    expect('the start', 1, equals=1)\n    await asyncio.Event().wait()\n"
    )
    result = grade_tiny(grader, "x = 1\n", limits=ProcessLimits(deadline_s=SOON_S))
    assert result.message == (
        "still waiting after 1 s for what never came (test_tiny.py, line 8 (`await asyncio.Event().wait()`))"
    )


def test_a_hang_in_another_task_is_found(grade_tiny):
    grader = (
        "import asyncio\n\n" + CHECK + "async def test_it(submission):\n"
        "    task = asyncio.create_task(submission.serve())\n    await asyncio.Event().wait()\n"
    )
    submission = (
        "import asyncio\nasync def serve():\n    await inner()\nasync def inner():\n    await asyncio.sleep(60)\n"
    )
    result = grade_tiny(grader, submission, limits=ProcessLimits(deadline_s=SOON_S))
    assert result.message == "still running after 1 s, in tiny.py, line 5 (`await asyncio.sleep(60)`)"


def test_a_hang_outside_python_is_found(grade_tiny):
    """No Python instruction ends in this, so no signal handler of Python's runs."""
    result = grade_tiny(
        ANSWER, "def answer():\n    return sum(iter(int, 1))\n", limits=ProcessLimits(deadline_s=SOON_S)
    )
    assert result.message == "still running after 1 s, in tiny.py, line 2 (`return sum(iter(int, 1))`)"


def test_a_hang_in_a_thread_is_found(grade_tiny):
    grader = (
        "import asyncio\n\n" + CHECK + "async def test_it(submission):\n    await asyncio.to_thread(submission.work)\n"
    )
    submission = "import time\ndef work():\n    while True:\n        time.sleep(0.1)\n"
    result = grade_tiny(grader, submission, limits=ProcessLimits(deadline_s=SOON_S))
    assert result.message == "still running after 1 s, in tiny.py, line 4 (`time.sleep(0.1)`)"


@pytest.mark.parametrize(
    "noise", ["b'3\\n'", "b'[' * 90_000 + b'\\n'", r"""b'{"say": "unmet", "sentence": "\ud83d"}\n""" + "'"], ids=len
)
def test_noise_on_the_verdicts_socket_is_a_failure(grade_tiny, noise):
    submission = (
        f"import os, time\nfor number in range(3, 30):\n    try:\n        os.write(number, {noise})\n"
        "    except OSError:\n        pass\ntime.sleep(60)\n"
    )
    assert grade_tiny(ANSWER, submission).message == "your code wrote into the socket that the verdict comes on"


def test_half_a_character_in_an_exception_is_spelled_out(grade_tiny):
    result = grade_tiny(ANSWER, r"raise ValueError('\ud83d')")
    assert result.message == r"your code raised ValueError: \ud83d (tiny.py, line 1)"


def test_a_hang_after_a_failure_says_both(grade_tiny):
    grader = (
        CHECK + "def test_it(submission):\n    try:\n        expect('the answer', 41, equals=42)\n"
        "    finally:\n        submission.close()\n"
    )
    result = grade_tiny(
        grader, "def close():\n    while True:\n        pass\n", limits=ProcessLimits(deadline_s=SOON_S)
    )
    assert result.message.startswith(
        "expected the answer to be 42; got 41. Then still running after 1 s, in tiny.py, line"
    )


HANGS_WITH_A_SERVER = (
    "import sys, tempfile\nfrom rtlab.servers.supervisor import Child\n"
    "def answer():\n    kept = Child([sys.executable, '-c', 'import time; time.sleep(60)'], name='a server')\n"
    "    tempfile.mkdtemp()\n    while True:\n        pass\n"
)


def test_what_a_check_leaves_on_the_disk_goes_with_it(grade_tiny, tmp_path, monkeypatch):
    """Also where the processes that would remove it are ended with SIGKILL."""
    kept = tmp_path / "temporary"
    kept.mkdir()
    monkeypatch.setenv("TMPDIR", str(kept))
    monkeypatch.setattr("tempfile.tempdir", str(kept))
    result = grade_tiny(ANSWER, HANGS_WITH_A_SERVER, limits=ProcessLimits(deadline_s=2 * SOON_S))
    assert "still running" in result.message
    assert not list(kept.iterdir())


@pytest.mark.parametrize("text", ["# a comment\n\n   # another\n", "#"])
def test_a_file_that_is_not_python_and_has_only_comments_is_to_do(grade_tiny, text):
    result = grade_tiny(
        CHECK + "def test_it(submission):\n    expect('its name', submission.name, equals='tiny.conf')\n",
        text,
        file="tiny.conf",
    )
    assert (result.verdict, result.message) == (Verdict.TODO, "not written yet (tiny.conf has only comments)")


FORBIDDEN = "import json.decoder\n\nFORBIDDEN = {'json': 'Write a parser.'}\n\n" + ANSWER


@pytest.mark.parametrize(
    "submission",
    [
        "import json\n",
        "from json import loads\n",
        "import json.decoder\n",
        "import importlib\nimportlib.import_module('json.decoder')\n",
        "def answer():\n    import json\n    return 42\n",
        "import email.policy, http.client, importlib.metadata, uuid, logging.config\nimport xmlrpc.client, json\n",
    ],
)
def test_what_holds_the_answer_cannot_be_imported(grade_tiny, submission):
    result = grade_tiny(FORBIDDEN, submission)
    assert result.verdict is Verdict.FAILED
    assert "holds the answer: this one you write yourself. Write a parser." in result.message


LATE = (
    "import json\n\nFORBIDDEN = {'fractions': 'Write a parser.', 'json.decoder': 'Write a parser.'}\n\n"
    + CHECK
    + "def test_it(submission):\n    import fractions\n"
    "    expect('the answer', submission.answer(), equals=fractions.Fraction(42))\n"
)


@pytest.mark.parametrize(
    "body",
    [
        "import fractions as f\n    return f.Fraction(42)",
        "from fractions import Fraction\n    return Fraction(42)",
        "import importlib\n    return importlib.import_module('fractions').Fraction(42)",
        "import sys\n    return getattr(sys.modules['fractions'], 'Fraction')(42)",
        "import json\n    return json.decoder.JSONDecoder().decode('42')",
        "from json import decoder\n    return decoder.JSONDecoder().decode('42')",
    ],
)
def test_what_the_grader_imports_late_stays_closed(grade_tiny, body):
    result = grade_tiny(LATE, f"def answer():\n    {body}\n")
    assert result.verdict is Verdict.FAILED
    assert "holds the answer: this one you write yourself. Write a parser. (tiny.py, line " in result.message


def test_libraries_read_what_is_closed(grade_tiny):
    grader = LATE.replace("import fractions\n", "import fractions, inspect; inspect.getsource(fractions)\n", 1)
    assert grade_tiny(grader, "import json\ndef answer():\n    return json.loads('42')\n").message == ""


def test_the_grader_may_import_what_the_submission_may_not(grade_tiny):
    grader = (
        "import json\n\nFORBIDDEN = ('json', 'fractions')\n\n" + CHECK + "def test_it(submission):\n"
        "    import fractions\n    expect('the answer', json.loads('42'), equals=submission.answer())\n"
    )
    assert grade_tiny(grader, "def answer():\n    return 42\n").verdict is Verdict.PASSED


def test_a_submission_may_have_several_files(grade_tiny, tmp_path):
    folder = tmp_path / "exercises" / "07_tiny"
    folder.mkdir(parents=True)
    (folder / "part.py").write_text("ANSWER = 42\n")
    submission = (
        "from dataclasses import dataclass\nimport part\n\n@dataclass\nclass Answer:\n    value: int\n\n"
        "def answer():\n    return Answer(part.ANSWER).value\n"
    )
    assert grade_tiny(ANSWER, submission).verdict is Verdict.PASSED
    assert not (folder / "__pycache__").exists()


def test_a_submission_may_be_no_python(grade_tiny):
    grader = CHECK + "def test_it(submission):\n    expect('the file', submission.read_text(), contains='listen 80')\n"
    assert grade_tiny(grader, "listen 80;\n", file="tiny.conf").verdict is Verdict.PASSED


def test_each_check_starts_afresh(grade_tiny):
    grader = ANSWER + "\n\n" + ANSWER.replace("test_it", "test_again")
    submission = "calls = []\ndef answer():\n    calls.append(1)\n    return 41 + len(calls)\n"
    assert [check.verdict for check in grade_tiny(grader, submission, every=True)] == [Verdict.PASSED, Verdict.PASSED]


def test_nobody_types(grade_tiny):
    result = grade_tiny(ANSWER, "def answer():\n    return input()\n")
    assert "asks for input()" in result.message


def test_what_a_check_closes_is_no_leftover(grade_tiny):
    grader = (
        "import asyncio, subprocess, sys\n\n" + CHECK + "async def test_it(submission):\n"
        "    server = await asyncio.start_server(lambda r, w: None, '127.0.0.1', 0)\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)\n"
        "    expect('a thread', await asyncio.to_thread(submission.answer), equals=42)\n"
        "    task = asyncio.create_task(submission.forever())\n    await asyncio.sleep(0)\n    task.cancel()\n"
        "    child.kill()\n    server.close()\n"
    )
    submission = (
        "import asyncio\ndef answer():\n    return 42\nasync def forever():\n    await asyncio.Event().wait()\n"
    )
    assert grade_tiny(grader, submission).message == ""


def test_limits_of_a_check_are_its_own(grade_tiny):
    grader = (
        "@check(points=1, hints=('a', 'b'), memory_mib=4096, processes=1)\n"
        "def test_it(submission):\n    expect('the answer', submission.answer(), equals=42)\n"
    )
    submission = (
        "import subprocess, sys\ndef answer():\n"
        "    command = [sys.executable, '-c', 'input()']\n"
        "    children = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(2)]\n"
        "    for child in children:\n        child.wait()\n"
    )
    assert grade_tiny(grader, submission).message == "your code had more than 1 processes running at once"


def test_time_scale_stretches_deadlines(grade_tiny, monkeypatch):
    monkeypatch.setenv("RTLAB_TIME_SCALE", "0.5")
    message = grade_tiny(ANSWER, "def answer():\n    while True: pass\n", limits=ProcessLimits(deadline_s=3)).message
    assert message.startswith("still running after 1.5 s")
    monkeypatch.setenv("RTLAB_TIME_SCALE", "fast")
    with pytest.raises(UsageError, match=r"RTLAB_TIME_SCALE .* got 'fast'"):
        grade_tiny(ANSWER, "")


SOCKET = """
import json, os, shutil, signal, socket, time
for fd in range(3, 40):
    try:
        S = socket.socket(fileno=fd)
        if S.family == socket.AF_UNIX:
            break
        S.detach()
    except OSError:
        pass

def say(**k):
    S.sendall(json.dumps(k).encode() + b"\\n")

"""
TWO_CHECKS = (
    CHECK + "def test_it(submission):\n    expect('the answer', submission.answer(), equals=42)\n\n"
    + CHECK + "def test_other(submission):\n    expect('the other', submission.other(), equals=43)\n"
)  # fmt: skip
GOOD = "\ndef other():\n    return 43\n"


def test_a_beginning_that_is_said_again_does_not_move_the_deadline(grade_tiny):
    submission = SOCKET + "def answer():\n    while True:\n        say(say='begin')\n        time.sleep(.1)\n" + GOOD
    first, second = grade_tiny(TWO_CHECKS, submission, every=True)
    assert first.message == "your code wrote into the socket that the verdict comes on"
    assert second.verdict is Verdict.PASSED


def test_a_forged_pass_reaches_no_other_check(grade_tiny):
    forged = "say(say='verdict', verdict='passed', message='', phase='import', left=''); time.sleep(5)"
    submission = f"{SOCKET}def answer():\n    {forged}\n\ndef other():\n    return 0\n"
    _, second = grade_tiny(TWO_CHECKS, submission, every=True)
    assert second.verdict is Verdict.FAILED


@pytest.mark.parametrize(
    "does",
    [
        "os.mkdir('../2')",
        "shutil.rmtree(os.path.dirname(os.getcwd()), ignore_errors=True)",
        "os.close(1); os.close(2); return 41",
        "os.set_blocking(1, False); [print('x' * 10**6) for _ in range(100)]; return 41",
        "os.remove('trace.txt'); os.mkdir('trace.txt'); signal.signal(signal.SIGUSR1, signal.SIG_IGN); time.sleep(60)",
        "os.remove('trace.txt'); os.mkfifo('trace.txt'); signal.signal(signal.SIGUSR1, signal.SIG_IGN); time.sleep(60)",
        "os.kill(int(open(f'/proc/{os.getppid()}/stat').read().rpartition(')')[2].split()[1]), signal.SIGSTOP)",
    ],
)
def test_whatever_a_submission_does_to_its_surroundings_the_next_check_is_graded(grade_tiny, does):
    submission = f"import os, shutil, signal, time\ndef answer():\n    {does}\n" + GOOD
    limits = ProcessLimits(deadline_s=3 * SOON_S)  # also for the second, which has to come to its end
    first, second = grade_tiny(TWO_CHECKS, submission, every=True, limits=limits)
    assert first.verdict is Verdict.FAILED
    assert second.verdict is Verdict.PASSED


def test_a_terminal_is_not_written_to_and_a_long_code_is_cut(grade_tiny):
    result = grade_tiny(ANSWER, r"raise ValueError('\x1b[2J\x1b[1;32mfaked')")
    assert result.message == r"your code raised ValueError: \x1b[2J\x1b[1;32mfaked (tiny.py, line 1)"
    result = grade_tiny(ANSWER, "import sys\nsys.exit('x' * 2_000_000)")
    assert result.message.startswith("your code ended the process with sys.exit(")
    assert len(result.message) < 11_000
    shown = grade_tiny(ANSWER, r"print('\x1b[2J'); raise ValueError").output
    assert shown == (r"\x1b[2J",)
