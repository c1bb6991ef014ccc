"""The commands as people and programs meet them: what they print, and how they fail."""

from __future__ import annotations

import gc
import json
import logging
import re
import shlex
import stat
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import apsw
import click
import pytest

from jecp_mcp.catalog import snapshot
from jecp_mcp.cli.main import SECTIONS, _run, jecp_mcp
from jecp_mcp.clock import SystemClock, UnixMs
from jecp_mcp.domain.outcomes import Verdict
from jecp_mcp.mandate.caps import meters_for
from jecp_mcp.mandate.opening import open_ledger
from jecp_mcp.mandate.policy import Policy
from jecp_mcp.mandate.records import Conclusion, Reservation
from jecp_mcp.money import MicroUSDC
from jecp_mcp.rails.jecp.catalog_source import CatalogSource
from jecp_mcp.settings import CatalogSettings, MandateSettings
from tests.unit.catalog.hubs import FakeHub, capability

AWAY = "http://127.0.0.1:9"
LIMITS = '[{"match":"docs/*","daily_usdc":"1.00","per_call_usdc":"0.10"}]'


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user of its own, whose state folder is `tmp_path/state`."""
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in ("JECP_AGENT_ID", "JECP_API_KEY", "JECP_AGENT_KEY", "JECP_BASE_URL", "JECP_MCP_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JECP_MCP_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """Run a command line; returns exit status, stdout and stderr."""
    filters = [(handler, handler.filters.copy()) for handler in logging.getLogger().handlers]

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["jecp-mcp", *arguments])
        status = _run()
        out, err = capsys.readouterr()
        return status, out, err

    yield command
    # Serving bounds the log and the looking for garbage of its process, which here is everybody's.
    for handler, before in filters:
        handler.filters[:] = before
    gc.enable()


def bought(state: Path, *, call_id: str, price: int, charged: int | None) -> None:
    """Put one call into the ledger: settled at `charged`, or left in doubt."""

    async def write() -> None:
        policy = Policy.from_settings(MandateSettings.model_validate({"limits": json.loads(LIMITS)}))
        ledger = open_ledger(state / "ledger.sqlite")
        names = ("docs/invoice:create", "docs/invoice", "docs_invoice_create")
        await ledger.reserve(
            Reservation(
                call_id=call_id,
                principal="local",
                session=ledger.session,
                rail="jecp",
                account="https://jecp.dev agent",
                tool="docs_invoice_create",
                payee="docs",
                source="https://jecp.dev",
                offer="docs/invoice:create",
                names=names,
                version="1.0.0",
                fingerprint=call_id,
                quoted=MicroUSDC(price),
                hold=MicroUSDC(price),
                meters=meters_for(policy.caps, names, "local", ledger.session),
                request=b"{}",
            )
        )
        if charged is None:
            ledger.conclude(Conclusion(call_id, Verdict.IN_DOUBT, evidence="no answer"))
        else:
            ledger.conclude(Conclusion(call_id, Verdict.CHARGED, charged=MicroUSDC(charged), reference="tx_1"))
        await ledger.close()

    anyio.run(write)


def test_the_ledger_lists_calls_for_programs_newest_first(run: Any, state: Path) -> None:
    bought(state, call_id="call_first", price=50_000, charged=30_000)
    bought(state, call_id="call_second", price=70_000, charged=None)
    status, out, err = run("ledger", "--json")
    assert (status, err) == (0, "")
    newest, oldest = json.loads(out)
    assert (newest["call_id"], newest["state"], newest["held_usdc"], newest["charged_usdc"]) == (
        "call_second",
        "in_doubt",
        "0.07",
        "0.00",
    )
    assert (oldest["call_id"], oldest["state"], oldest["held_usdc"], oldest["charged_usdc"]) == (
        "call_first",
        "settled",
        "0.00",
        "0.03",
    )
    assert (oldest["tool"], oldest["transaction_id"]) == ("docs_invoice_create", "tx_1")
    assert oldest["created_at"].endswith("Z")


def test_the_ledger_is_a_table_for_people(run: Any, state: Path) -> None:
    bought(state, call_id="call_first", price=50_000, charged=30_000)
    status, out, _ = run("ledger")
    assert status == 0
    assert "docs_invoice_create" in out
    assert "0.03" in out
    assert "\x1b" not in out


def test_an_empty_ledger_is_an_empty_list(run: Any) -> None:
    assert run("ledger", "--json") == (0, "[]\n", "")
    assert "no call yet" in run("ledger")[1]


def test_the_ledger_can_be_cut(run: Any, state: Path) -> None:
    for number in range(3):
        bought(state, call_id=f"call_{number}", price=1_000, charged=1_000)
    assert [row["call_id"] for row in json.loads(run("ledger", "--json", "--limit", "2")[1])] == ["call_2", "call_1"]


def test_the_wallet_shows_every_limit_and_the_sums(run: Any, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JECP_MCP_MANDATE__LIMITS", LIMITS)
    monkeypatch.setenv("JECP_MCP_MANDATE__TOTAL_USDC", "50")
    bought(state, call_id="call_first", price=50_000, charged=30_000)
    bought(state, call_id="call_second", price=70_000, charged=None)
    status, out, _ = run("wallet", "--json")
    assert status == 0
    shown = json.loads(out)
    limits = {one["limit"]: one for one in shown["limits"]}
    assert set(limits) == {
        "daily_usdc",
        "total_usdc",
        "limits[docs/*].daily_usdc",
        "limits[docs/*].per_call_usdc",
    }
    day = limits["daily_usdc"]
    assert (day["used_usdc"], day["limit_usdc"], day["remaining_usdc"]) == ("0.10", "2.00", "1.90")
    assert day["resets_at"].endswith("Z")
    assert limits["limits[docs/*].daily_usdc"]["remaining_usdc"] == "0.90"
    assert limits["limits[docs/*].per_call_usdc"] == {"limit": "limits[docs/*].per_call_usdc", "limit_usdc": "0.10"}
    sums = ("0.03", "0.07", "0.07", 2, "0.25")
    names = ("charged_usdc", "held_usdc", "in_doubt_usdc", "calls", "per_call_usdc")
    assert tuple(shown[name] for name in names) == sums
    assert [one["call_id"] for one in shown["open_holds"]] == ["call_second"]
    assert (shown["balance_usdc"], shown["ledger"]) == (None, str(state / "ledger.sqlite"))
    for_people = run("wallet")[1]
    for words in ("not known: the Hub tells it", "daily_usdc", "1.90", "call_second", "in_doubt", str(state)):
        assert words in for_people, words


def test_the_state_folder_is_private(run: Any, state: Path) -> None:
    run("wallet")
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "ledger.sqlite").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("walet",), "did you mean wallet?"),
        (("budget",), "did you mean wallet?"),
        (("jecp_wallet",), "did you mean wallet?"),
        (("catalog", "invoice", "pdf"), "jecp-mcp search 'invoice pdf'`?"),
        (("refund", "call_1"), "needs both a CALL_ID and a --reason"),
        (("topup", "7"), "5, 20, 100 USD"),
        (("completion", "tcsh"), "tcsh"),
        (("nonsense",), "there are serve, demo"),
        (("wallet", "--bogus"), "--bogus"),
        (("wallet", "--config", "/nonexistent/x.toml"), "/nonexistent/x.toml: there is no such file"),
        (("wallet", "--hub", "http://jecp.dev"), "hub.base_url: plain http"),
        (("serve", "--transport", "carrier-pigeon"), "carrier-pigeon"),
        (("serve", "--sandbox", "--hub", "https://jecp.dev"), "--sandbox brings its own Hub"),
        (("serve", "--port", "99999"), "99999"),
        (
            ("serve", "--transport", "http", "--host", "0.0.0.0", "--port", "0", "--hub", "http://127.0.0.1:9"),
            "loopback",
        ),
        (("call",), "TOOL"),
        (("call", "docs_invoice_create", "{"), "not JSON"),
        (("call", "docs_invoice_create", "[]"), "JSON object"),
        (("call", "docs_invoice_create", "{}", "--max-usdc", "much"), "'much' is not an amount in USDC"),
        (("sandbox", "--dialect", "klingon"), "klingon"),
    ],
)
def test_what_is_asked_wrongly_is_one_clear_line_and_status_2(run: Any, arguments: tuple[str, ...], said: str) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    [line] = [line for line in err.splitlines() if not line.startswith("jecp-mcp WARNING")]
    assert line.startswith("jecp-mcp: ")
    assert said in line


def test_a_settings_error_names_file_key_and_reason(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text("[mandate]\ndaily_usdc = 2.5\n")
    status, _, err = run("serve", "--config", str(path))
    assert status == 2
    assert err.startswith(f"jecp-mcp: {path}: mandate.daily_usdc: an amount is decimal text")


def test_a_damaged_ledger_is_one_clear_line_and_status_1(run: Any, state: Path) -> None:
    state.mkdir()
    (state / "ledger.sqlite").write_bytes(b"this is no database" * 1000)
    status, out, err = run("ledger", "--json")
    assert (status, out) == (1, "")
    assert err.startswith("jecp-mcp: ")
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [("catalog",), ("call", "docs_invoice_create", "{}")])
def test_a_hub_that_cannot_be_reached_is_one_clear_line_and_status_1(run: Any, arguments: tuple[str, ...]) -> None:
    status, out, err = run(*arguments, "--hub", "http://127.0.0.1:9")
    assert (status, out) == (1, "")
    assert err.startswith("jecp-mcp: HUB_UNREACHABLE: ")
    assert len(err.splitlines()) == 1


def test_what_became_of_a_call_is_known_without_a_hub(run: Any, state: Path) -> None:
    bought(state, call_id="call_first", price=50_000, charged=30_000)
    bought(state, call_id="call_second", price=70_000, charged=None)
    for arguments in (("status",), ("status", "call_second")):
        status, out, err = run(*arguments, "--hub", "http://127.0.0.1:9")
        assert (status, "call_second" in out, "in_doubt" in out, "not known" in out) == (0, True, True, True)
        assert "nothing was charged" not in err, "that is not known of the call"
    # Its answer is still to come, for whoever asks then.
    rows = {row["call_id"]: row for row in json.loads(run("ledger", "--json")[1])}
    assert rows["call_second"]["delivered"] is False
    status, out, err = run("status", "call_third", "--json", "--hub", "http://127.0.0.1:9")
    assert (status, json.loads(out)["error"]["code"]) == (1, "CALL_NOT_FOUND")
    assert err.startswith("jecp-mcp: CALL_NOT_FOUND")


def test_what_is_known_of_a_hub_that_is_away_is_listed_and_said_to_be_old(run: Any, state: Path) -> None:
    sold, remembered = capability("acme/pdf", "make", "merge"), 2
    pages = {"type": "array", "minItems": 2}
    sold["actions"][1]["input_schema"] = {
        "type": "object", "properties": {"pages": pages, "quality": {}}, "required": ["pages"], "additionalProperties": False,
    }  # fmt: skip
    hub = FakeHub([sold])
    anyio.run(CatalogSource(hub, AWAY, state / "catalog.jsonl", CatalogSettings(), SystemClock()).refresh)
    for arguments in (("catalog", "--json"),):
        status, out, err = run(*arguments, "--hub", AWAY)
        assert (status, len(json.loads(out))) == (0, remembered)
        [line] = err.splitlines()
        assert line.startswith(f"HUB_UNREACHABLE: {AWAY} has given no catalog since 2")
        assert f"{remembered} of its offers are known, as of 2" in line
    status, out, err = run("call", "acme_pdf_make", "{}", "--hub", AWAY)
    assert (status, out) == (1, "")
    assert err.startswith("jecp-mcp: CREDENTIALS_MISSING: ")
    assert re.search(r"`.*jecp-mcp register .*` makes one", err)
    _, _, err = run("call", "acme_pdf_merge", '{"pages": [1], "qualty": 1}', "--hub", AWAY)
    assert err.startswith(
        "jecp-mcp: INVALID_ARGUMENTS: The arguments of acme_pdf_merge do not fit its schema (2 problems). "
        "Nothing was charged. /pages: needs at least 2 items, and has 1; "
        '/qualty: is no property that is known here (the nearest is "quality"). `'
    )
    assert re.search(r"jecp-mcp describe acme_pdf_merge .*` shows what it takes.\n$", err)
    status, out, err = run("call", "jecp_prepare", '{"tool": "acme_pdf_merge", "arguments": {}}', "--hub", AWAY)
    assert (status, json.loads(out)["issues"][0]["message"], err) == (0, "is missing", "Free: nothing was charged.\n")
    assert "next_action" not in out
    _, _, err = run("call", "acme_pdf_mrge", "{}", "--hub", AWAY)
    assert err.startswith("jecp-mcp: HUB_UNREACHABLE: 'acme_pdf_mrge' is not among the offers known here.")
    assert "Did you mean acme_pdf_merge" in err
    assert "tell the user" not in err


def test_a_sandbox_that_does_not_start_is_told_and_ends_the_server(run: Any, state: Path) -> None:
    (state / "sandbox.sqlite").mkdir(parents=True)
    status, _, err = run("serve", "--sandbox")
    assert status == 1
    assert err.splitlines()[-1].startswith("jecp-mcp: SANDBOX_FAILED: ")


@pytest.mark.parametrize("library", ["coincurve", "Crypto"])
def test_a_sandbox_that_could_verify_no_signature_says_what_to_install(
    run: Any, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    code, out, err = run("sandbox", "--port", "0")
    assert (code, out) == (2, "")
    assert "a Hub with test money needs" in err
    assert "[sandbox]" in err


@pytest.mark.parametrize("asked", [(), ("--help",), ("-h",)])
def test_the_bare_command_and_help_show_every_command_with_what_it_is_for(run: Any, asked: tuple[str, ...]) -> None:
    status, out, err = run(*asked)
    assert (status, err) == (0, "")
    for heading, commands in SECTIONS.items():
        assert f"\n{heading}:\n" in out
        for name, words in commands.items():
            assert re.search(rf"^  {name} +{re.escape(words)}$", out, re.MULTILINE), name
    assert max(map(len, out.splitlines())) <= 80


def every_command(group: click.Group = jecp_mcp, start: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The words that name each command, and each within one."""
    context, found = click.Context(group), [start]
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        found += every_command(command, (*start, name)) if isinstance(command, click.Group) else [(*start, name)]
    return found


def understand(command: click.Command, name: str, typed: list[str], parent: click.Context | None = None) -> None:
    """Read a command line as click does before it runs the command."""
    with command.make_context(name, typed, parent=parent) as context:
        rest = [*context._protected_args, *context.args]
        if isinstance(command, click.Group) and rest:
            inner, found, left = command.resolve_command(context, rest)
            assert found is not None
            understand(found, str(inner), left, context)


@pytest.mark.parametrize("name", every_command(), ids=" ".join)
def test_every_help_has_examples_that_are_understood_as_they_stand(run: Any, name: tuple[str, ...]) -> None:
    lines = [line.strip() for line in run(*name, "--help")[1].splitlines() if re.match(r"\s+jecp-mcp ", line)]
    assert lines, "no example"
    for line in lines:
        assert line.split()[1 : len(name) + 1] == list(name)
        try:
            # What a shell would take for itself.
            understand(jecp_mcp, "jecp-mcp", shlex.split(re.sub(r" (<|>>?) .*", "", line))[1:])
        except click.exceptions.Exit:
            assert line.endswith(" --help")


def test_the_version_is_told(run: Any) -> None:
    assert run("--version")[1].startswith("jecp-mcp, version 0.1.0")


def test_a_charge_beyond_what_was_allowed_is_told_until_a_person_has_ruled(run: Any, state: Path) -> None:
    bought(state, call_id="call_good", price=5_000, charged=5_000)
    bought(state, call_id="call_absurd", price=5_000, charged=900_000_000)
    words = "it took 900.00 USDC, where at most 0.005 was allowed"
    status, out, _ = run("ledger", "--verify")
    assert (status, words in out, "call_good" in out) == (0, True, False)
    assert json.loads(run("ledger", "--verify", "--json")[1])["charged_too_much"] == [
        line.removeprefix("look at it: ").partition("; `")[0] for line in out.splitlines() if words in line
    ]
    [listed] = json.loads(run("reconcile", "--json")[1])["needs_ruling"]
    assert (listed["call_id"], listed["state"], listed["charged_usdc"]) == ("call_absurd", "settled", "900.00")
    assert "900.00 taken" in run("reconcile")[1]
    status, out, _ = run("reconcile", "call_absurd", "--charged", "0.004", "--reason", "on the statement")
    assert (status, out) == (0, "Ruled: the call call_absurd was charged 0.004 USDC.\n")
    assert json.loads(run("reconcile", "--json")[1])["needs_ruling"] == []
    assert words not in run("ledger", "--verify")[1]
    # The state stays what it is; what it counts for has moved.
    absurd, good = json.loads(run("ledger", "--json")[1])
    assert (good["call_id"], absurd["state"], absurd["charged_usdc"]) == ("call_good", "settled", "0.004")
    totals = json.loads(run("wallet", "--json")[1])
    assert "0.009" in json.dumps(totals)


@pytest.mark.parametrize(("ruling", "charged"), [(("--charged",), "0.005"), (("--free",), "0.00")])
def test_an_absurd_charge_can_be_ruled_to_be_the_hold_or_nothing(
    run: Any, state: Path, ruling: tuple[str, ...], charged: str
) -> None:
    bought(state, call_id="call_absurd", price=5_000, charged=900_000_000)
    status, out, _ = run("reconcile", "call_absurd", *ruling, "--reason", "on the statement", "--json")
    assert (status, json.loads(out)["state"], json.loads(out)["charged_usdc"]) == (0, "settled", charged)


def test_a_charge_that_a_person_confirms_is_not_asked_about_again(run: Any, state: Path) -> None:
    bought(state, call_id="call_dear", price=5_000, charged=900_000)
    assert run("reconcile", "call_dear", "--charged", "0.90", "--reason", "it is true")[0] == 0
    assert json.loads(run("reconcile", "--json")[1])["needs_ruling"] == []


def test_a_charge_within_what_was_allowed_cannot_be_ruled_on(run: Any, state: Path) -> None:
    bought(state, call_id="call_good", price=5_000, charged=5_000)
    status, _, err = run("reconcile", "call_good", "--charged", "0.001", "--reason", "x")
    assert status == 1
    assert "is settled at 0.005 USDC already; nothing was changed" in err


@pytest.mark.parametrize("name", jecp_mcp.list_commands(click.Context(jecp_mcp)))
def test_a_help_text_is_for_people(run: Any, name: str) -> None:
    status, out, _ = run(name, "--help")
    assert status == 0
    # Where lines are to stay lines, click wants a backspace; what it does not know it prints.
    assert "\\b" not in out
    assert "\b" not in out


def found_by_doctor(run: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("doctor", "--json", "--hub", "http://127.0.0.1:9")[1])["findings"]
    return found


@pytest.mark.parametrize("given", [{"JECP_API_KEY": "", "JECP_AGENT_ID": "a"}, {"JECP_AGENT_KEY": " "}])
def test_doctor_names_empty_credentials_and_no_file_that_is_not_there(
    run: Any, monkeypatch: pytest.MonkeyPatch, given: dict[str, str]
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = found_by_doctor(run)
    [empty] = [name for name, value in given.items() if not value.strip()]
    assert [one["what"] for one in found if one["about"] == "settings" and one["level"] == "warning"] == [
        f"{empty} is empty, which counts as not set"
    ]
    [credentials] = [one for one in found if one["about"] == "credentials"]
    assert "credentials.json" not in credentials["mend"]
    assert "JECP_AGENT_ID and JECP_API_KEY" in credentials["mend"]


def test_doctor_tells_a_damaged_catalog_from_one_of_another_filter(run: Any, state: Path) -> None:
    path = state / "catalog.jsonl"
    assert snapshot.write(path, snapshot.Snapshot("another", "r", UnixMs(0), ()))
    whole = path.read_bytes()
    told = {}
    for data in (whole, whole.replace(b'"revision":', b'"rewision":'), whole + b"x", b"", b"[]", b"{}"):
        path.write_bytes(data)
        [told[data]] = [one for one in found_by_doctor(run) if one["about"] == "catalog"]
    path.unlink()
    path.mkdir()
    [told[b"folder"]] = [one for one in found_by_doctor(run) if one["about"] == "catalog"]
    sound = [data for data, one in told.items() if one["level"] == "ok"]
    assert sound == [whole]
    assert told[whole]["what"] == f"{path} is of another Hub or filter; the next start fetches this one's"
    assert {one["what"] for data, one in told.items() if data != whole} == {f"{path} is damaged"}


def test_a_user_without_a_home_folder_gives_folders_or_is_told_to(
    run: Any, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", unknown)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "JECP_MCP_STATE_DIR"):
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    for command in (("serve",), ("wallet",)):
        status, _, err = run(*command)
        assert (status, "has no home folder to keep it in; name one with --state-dir" in err) == (2, True)
    status, _, err = run("wallet", "--state-dir", "~/there")
    assert (status, "~/there begins with a home folder that is not known" in err) == (2, True)
    status, out, _ = run("wallet", "--json", "--state-dir", str(state))
    assert (status, json.loads(out)["state_dir"]) == (0, str(state))
    # Nothing is read from, or written to, a folder that is only called as a home folder is.
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize(
    "given",
    [
        ("serve", "--state-dir", "{}"),
        ("wallet", "--config={}"),
        ("call", "inkwell/convert:text-to-html", '{"text": "{}"}'),
        ("hire", "counter", "--instruction", "{}"),
        ("files", "--output", "{}"),
        ("{}",),
    ],
)
def test_an_argument_that_is_no_utf_8_is_one_clear_line_and_status_2(
    run: Any, tmp_path: Path, given: tuple[str, ...]
) -> None:
    odd = f"{tmp_path}/\udce9"
    status, out, err = run(*[part.replace("{}", odd) for part in given])
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert f"argument {len(given)} has bytes that are not UTF-8: b'" in err
    assert "\\xe9" in err
    assert not list(tmp_path.glob("*\udce9*"))


@pytest.mark.parametrize(
    ("variable", "gone", "told"),
    [
        ("JECP_MCP_STATE_DIR", (), "JECP_MCP_STATE_DIR"),
        ("JECP_MCP_CONFIG", (), "JECP_MCP_CONFIG"),
        ("XDG_STATE_HOME", ("JECP_MCP_STATE_DIR",), "the state folder"),
        ("XDG_CONFIG_HOME", ("JECP_MCP_CONFIG",), "the settings file"),
        ("HOME", ("JECP_MCP_STATE_DIR", "XDG_STATE_HOME"), "the state folder"),
        ("PWD", (), "JECP_MCP_STATE_DIR"),
    ],
)
def test_a_place_whose_name_is_no_utf_8_is_one_clear_line_and_status_2(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, gone: tuple[str, ...], told: str
) -> None:
    odd = tmp_path / "\udce9"
    for name in gone:
        monkeypatch.delenv(name, raising=False)
    if variable == "PWD":
        odd.mkdir()
        monkeypatch.chdir(odd)
        monkeypatch.setenv("JECP_MCP_STATE_DIR", "here")
    else:
        monkeypatch.setenv(variable, str(odd))
    status, out, err = run("wallet")
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert told in err
    assert "\\xe9" in err
    assert "has bytes that are not UTF-8; name another place" in err
    assert not list(tmp_path.glob("*\udce9/*"))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (("pdf", "--sandbox"), "search pdf --sandbox`?"),
        (("--sandbox", "pdf", "invoice", "--max-price", "1"), "search 'pdf invoice' --sandbox --max-price 1`?"),
        (
            ("a query of more than eighty characters " * 3,),
            f"search {shlex.quote('a query of more than eighty characters ' * 3)}`?",
        ),
    ],
)
def test_words_given_to_the_catalog_are_told_as_a_search_whole_and_with_their_options(
    run: Any, given: tuple[str, ...], meant: str
) -> None:
    status, _, err = run("catalog", *given)
    assert (status, " ".join(meant.split()) in err) == (2, True)


def test_the_help_of_the_catalog_shows_the_options_of_its_list(run: Any) -> None:
    _, out, _ = run("catalog", "--help")
    assert all(option in out for option in ("--sandbox", "--changes", "--limit", "--json"))
    assert "..." not in out.partition("Commands:")[2]


@pytest.mark.parametrize("place", ["folder", "below-a-file", "gone"])
def test_a_place_to_write_to_that_cannot_take_it_is_one_line(run: Any, tmp_path: Path, state: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    bought(state, call_id="call_1", price=50_000, charged=50_000)
    path = {"folder": "/", "below-a-file": str(tmp_path / "file" / "x"), "gone": "/proc/nowhere/x"}[place]
    for arguments in (
        ("demo", "--output", path if place != "folder" else str(tmp_path / "file")),
        ("ledger", "--export", path, "--format", "csv"),
        ("ledger", "--backup", path),
        ("sandbox", "--data", path),
        ("call", "docs_invoice_create", "--output", path if place != "folder" else str(tmp_path / "file")),
    ):
        status, out, err = run(*arguments)
        assert status != 0
        assert out == ""
        [line] = err.splitlines()
        assert line.startswith("jecp-mcp: ")


def test_a_bare_group_of_commands_shows_its_help_as_it_is_laid_out(run: Any) -> None:
    status, out, err = run("x402")
    assert (status, out) == (2, "")
    assert "\nCommands:\n  key  Make the wallet's key, once, and print its address.\n" in err


@pytest.mark.parametrize(
    "arguments",
    [("call", "docs_invoice_create", "--output"), ("files", "3f9a", "--output"), ("ledger", "--export"),
     ("ledger", "--backup"), ("sandbox", "--data")],
)  # fmt: skip
def test_a_slash_at_the_end_means_a_folder_and_is_refused_where_there_is_none(
    run: Any, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    status, out, err = run(*arguments, f"{tmp_path}/new/")
    assert (status, out) == (2, "")
    assert f"there is no folder {tmp_path}/new/; make it, or leave the slash out" in err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("arguments", [("wallet",), ("files",), ("approve",), ("config",), ("serve",), ("x402", "key")])
def test_a_state_folder_below_a_file_is_named_and_no_file_within_it(
    run: Any, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "file").write_text("")
    status, _, err = run(*arguments, "--state-dir", str(tmp_path / "file" / "x"))
    assert (status, f"{tmp_path / 'file'} is not a folder" in err, "credentials" in err) == (2, True, False)


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", "to create"),
        ("describe", "docs_invoice_create"),
        ("call", "docs_invoice_create", "{}"),
        ("catalog",),
        ("catalog", "--changes"),
    ],
)
def test_pins_that_cannot_be_read_are_what_every_look_into_the_catalog_says(
    run: Any, state: Path, arguments: tuple[str, ...]
) -> None:
    state.mkdir()
    hub = FakeHub([capability("docs/invoice", "create")])
    anyio.run(CatalogSource(hub, AWAY, state / "catalog.jsonl", CatalogSettings(), SystemClock()).refresh)
    (state / "pins.sqlite").write_bytes(b"not a database, and long enough to be looked at" * 20)
    status, out, err = run(*arguments, "--hub", AWAY)
    said = err.splitlines()[-1]
    assert (status, out, "Nothing matches" in err, "catalog --changes" in err) == (1, "", False, False)
    assert said.startswith("jecp-mcp: no action is sold, and nothing was charged: ")
    assert re.search(r"`\S*jecp-mcp doctor --state-dir \S+ --hub \S+` says how to mend it$", said)


@pytest.mark.parametrize(
    "arguments", [("wallet",), ("ledger",), ("ledger", "--verify"), ("approve",), ("status",), ("reconcile",)]
)
def test_a_damaged_ledger_is_told_once_with_who_knows_what_mends_it(
    run: Any, state: Path, arguments: tuple[str, ...]
) -> None:
    state.mkdir()
    (state / "ledger.sqlite").write_bytes(b"no database, and longer than the beginning of one" * 90)
    status, out, err = run(*arguments)
    assert (status, out, err.count("is damaged"), len(err.splitlines())) == (1, "", 1, 1)
    assert re.search(r"`\S*jecp-mcp doctor --ledger --state-dir \S+` says how to mend it\.?$", err)


@pytest.mark.parametrize(
    "arguments", [("wallet",), ("ledger",), ("ledger", "--verify"), ("approve",), ("status",), ("reconcile",)]
)
def test_a_ledger_that_no_release_reads_is_told_the_same_way_everywhere_with_the_command_that_moves_it_away(
    run: Any, state: Path, arguments: tuple[str, ...]
) -> None:
    bought(state, call_id="call_1", price=50_000, charged=50_000)
    with closing(apsw.Connection(str(state / "ledger.sqlite"))) as connection:
        connection.execute("DROP TABLE meter; PRAGMA user_version = 2")
    status, out, err = run(*arguments)
    said = err.splitlines()[-1]
    assert (status, out, "damaged" in err) == (1, "", False)
    assert "was written before the first release of jecp-mcp" in said
    if arguments != ("status",):
        assert f"to begin with nothing spent, run: mkdir {state}/ledger-of" in said
