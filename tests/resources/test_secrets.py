"""Secrets: whatever a stage, its libraries or an alert say, none is in a log, an event or an error."""

import logging
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from director_diffusion.errors import ModelError, StoreError, TransientError
from director_diffusion.redaction import HIDDEN, redact, redact_error
from director_diffusion.storage import Store
from pipelines.cli.main import main
from resources import stage as stage_module
from resources.secrets import hide_in_logs, secrets_of, without_secrets
from resources.stage import stage
from resources.stage_run import StageResult, StageRun
from tests.stage_resources import stage_resources

BY_LOOKS = {  # what is hidden wherever it comes from: a text and what of it is the secret
    "token": ("asked with hf_{0}Zq7", "hf_{0}Zq7"),
    "header": ("headers {{'authorization': 'Bearer {0}-b'}}", "{0}-b"),
    "header in bytes": ("(b'Authorization', b'Basic {0}c==')", "{0}c=="),
    "presigned": ("GET https://b.s3.aws/x?X-Amz-Signature={0}d&X-Amz-Security-Token={0}e", "{0}d"),
    "presigned credential": ("GET https://b.s3.aws/x?a=1&amp;X-Amz-Credential={0}f%2F2026%2Fus", "{0}f"),
    "signed": ("https://cdn.hf.co/x?Expires=1&Signature={0}g&Key-Pair-Id={0}h", "{0}g"),
    "token of a URL": ("https://h/x?token={0}i", "{0}i"),
    "password": ("postgresql+psycopg://dagster:{0}j@db:5432/x", "{0}j"),
    "password with @": ("http://me:{0}@{0}k@proxy:8080", "{0}k"),
    "webhook": ("Max retries exceeded with url: /services/T00000000/B00000000/{0}m", "{0}m"),
    "key id": ("the key AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    "named secret": ("{{'aws_secret_access_key': '{0}/n+'}}", "{0}/n+"),
}
BODY = "uKp3" * 6  # put in when the tests run: a traceback quotes lines of source
SEEN = {name: (text.format(BODY), secret.format(BODY)) for name, (text, secret) in BY_LOOKS.items()}
BY_VALUE = {
    "HF_TOKEN": "no-token-that-looks-like-one",
    "AWS_SECRET_ACCESS_KEY": "some/secret+of/this/test",
    "AWS_SESSION_TOKEN": "a-session-of-this-test",
    "PGPASSWORD": "p4ssword-of-this-test",
    "DIRECTOR_WEBHOOK": "https://chat.example.org/in/w-of-this-test?key=k-of-this-test",
    "DIRECTOR_DAGSTER_POSTGRES_URL": "postgresql://me:db%40word-of-this-test@db/dagster",
    "HTTPS_PROXY": "http://me:proxy-of-this-test@proxy:3128",
}
VALUES = {
    *(value for name, value in BY_VALUE.items() if "://" not in value),
    BY_VALUE["DIRECTOR_WEBHOOK"],
    "/in/w-of-this-test?key=k-of-this-test",
    "db%40word-of-this-test",
    "db@word-of-this-test",
    "proxy-of-this-test",
}
SECRETS = {*VALUES, *(secret for _, secret in SEEN.values())}
TEXT = " | ".join((*(text for text, _ in SEEN.values()), *sorted(VALUES)))


class OddError(Exception):
    """Its words are made anew each time, as those of HTTP and database clients are."""

    def __init__(self, url: str):
        super().__init__()
        self.url = url

    def __str__(self) -> str:
        return f"cannot reach {self.url}"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in BY_VALUE.items():
        monkeypatch.setenv(name, value)
    hooks = logging.getLogRecordFactory(), warnings.formatwarning, sys.excepthook
    yield
    logging.setLogRecordFactory(hooks[0])
    warnings.formatwarning, sys.excepthook = hooks[1:]


@pytest.mark.parametrize("name", SEEN)
def test_what_looks_like_a_secret_is_hidden(name: str) -> None:
    text, secret = SEEN[name]
    told = redact(text)
    assert secret not in told
    assert HIDDEN in told
    assert redact(told) == told


@pytest.mark.parametrize(
    "text",
    [
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN where they are lent), or AWS_PROFILE",
        "max_new_tokens=64, the token is refused, basic authentication, hf_hub_download, prompt_tokens: 77",
        "postgresql://me@db/votes, s3://bucket/a/b, file:///srv/a:b, http://127.0.0.1:3000/runs/1",
        "![sheet](data:image/jpeg;base64,AAAA/AKIAIOSFODNN7EXAMPLE+token=)",
    ],
)
def test_plain_words_and_pictures_stay(text: str) -> None:
    assert redact(text) == text


def test_values_of_the_environment_are_hidden_as_they_are_and_as_urls_spell_them() -> None:
    assert secrets_of(BY_VALUE) >= VALUES
    assert secrets_of({}) == set()
    assert redact("my pass: abc", {"abc"}) == "my pass: abc", "so short a value is in too many words"


def test_warnings_and_uncaught_errors_hold_none(capsys: pytest.CaptureFixture[str]) -> None:
    hide_in_logs()
    shown = warnings.formatwarning(TEXT, UserWarning, "x.py", 1)
    try:
        raise OddError(TEXT)
    except OddError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    shown += capsys.readouterr().err
    assert "cannot reach" in shown
    assert not [secret for secret in SECRETS if secret in shown]


def test_what_a_command_says_holds_none(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIRECTOR_STORE_CACHE_GB", TEXT)
    assert main(["gc", "--dry-run"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("director: DIRECTOR_STORE_CACHE_GB: is ")
    assert not [secret for secret in SECRETS if secret in told]


def test_no_error_of_a_chain_holds_one() -> None:
    def fail() -> None:
        try:
            try:
                raise OSError(2, "No such file", SEEN["presigned"][0])
            except OSError as error:
                raise OddError(TEXT) from error
        except OddError:
            raise ExceptionGroup("several", [ValueError(TEXT), OddError(TEXT)])  # noqa: B904

    with pytest.raises(Exception, match="several") as raised:
        fail()
    told = redact_error(raised.value, VALUES)
    found, waiting = [], [told]
    while waiting:
        error = waiting.pop()
        found.append(type(error).__name__)
        assert not [secret for secret in SECRETS if secret in f"{error!s} {error!r} {error.args}"], error
        waiting += [one for one in (error.__cause__, error.__context__) if one is not None]
    assert {"OddError", "FileNotFoundError"} <= set(found), "what it was is still told"


def test_what_is_raised_through_it_shows_nothing_behind_it() -> None:
    with pytest.raises(Exception, match="cannot reach") as raised, without_secrets():
        raise OddError(TEXT)
    from traceback import format_exception

    shown = "".join(format_exception(raised.value))
    assert not [secret for secret in SECRETS if secret in shown]
    with pytest.raises(StoreError) as ours, without_secrets():
        raise StoreError(TEXT, "is away", TEXT)
    assert not [secret for secret in SECRETS if secret in str(ours.value)]


@pytest.mark.parametrize(
    "error",
    [
        dg.RetryRequested(max_retries=3),
        dg.Failure("dagster said pass-of-this-test", allow_retries=False),
        dg.DagsterExecutionInterruptedError(),
        KeyboardInterrupt("pass-of-this-test"),
        StoreError("dagster", "pass-of-this-test", ""),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_password_that_is_a_word_of_a_classs_name_makes_no_other_error_of_it(error: BaseException) -> None:
    told = redact_error(error, ("dagster", "director", "builtins", "pass-of-this-test"))
    assert told is error
    assert "pass-of-this-test" not in f"{told} {told.args} {vars(told)}"


def test_an_interrupt_whose_words_cannot_be_changed_stays_one() -> None:
    class OddInterrupt(BaseException):
        def __str__(self) -> str:
            return "pass-of-this-test"

    told = redact_error(OddInterrupt(), ("pass-of-this-test",))
    assert (str(told), isinstance(told, Exception)) == (HIDDEN, False)


@pytest.mark.parametrize("kind", [ModelError, TransientError, OddError])
def test_a_failing_stage_leaves_none_in_dagsters_records(
    kind: type[Exception], tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_module, "RETRY_WAIT_S", 0.0)
    hide_in_logs()

    @stage(partitions=None, group="toy", version="1", outside=True)
    def fine(run: StageRun) -> StageResult:
        """Tells it all, and works."""
        (run.out / "x.txt").write_text("x")
        return run.result(facts={"said": TEXT}, pictures={"table": TEXT})

    @stage(partitions=None, group="toy", version="1", outside=True)
    def failing(run: StageRun, fine: object) -> StageResult:
        """Tells it all, and fails."""
        run.context.log.info(TEXT)
        run.progress.note(TEXT)
        logging.getLogger("some.library").warning("asked %s", TEXT)
        try:
            raise OddError(TEXT)
        except OddError as error:
            run.context.log.warning("it said", exc_info=True)
            raise (kind(TEXT) if kind is OddError else kind(TEXT, TEXT, TEXT)) from error

    home = tmp_path / "home"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        result = dg.materialize(
            [fine, failing],
            instance=instance,
            raise_on_error=False,
            resources=stage_resources(tmp_path),
        )
    assert not result.success
    records = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert any(b"STEP_FAILURE" in data and b"Tells it all" not in data for data in records.values())
    assert any(HIDDEN.encode() in data for data in records.values())
    told = capfd.readouterr()
    records[Path("terminal")] = (told.out + told.err).encode()
    for secret in SECRETS:
        assert not [path for path, data in records.items() if secret.encode() in data], secret
    assert Store(str(tmp_path / "store")).exists("assets/fine/_all/latest.json")
