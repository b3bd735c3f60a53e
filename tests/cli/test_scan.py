"""What `scan` promises to scripts: its files, their columns and keys, its exit codes, what it prints where."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cryptosentinel.cli import run

FILES = [
    "clean.jsonl",
    "findings.jsonl",
    "hypotheses.json",
    "quarantine.jsonl",
    "rejects.jsonl",
    "report.html",
    "report.json",
    "report.sarif",
    "scores.parquet",
]
PROMISED = {
    "trigger",
    "behaviour",
    "support",
    "confidence",
    "base_rate",
    "log_likelihood_ratio",
    "q_value",
    "rows",
    "adjudications",
    "verdict",
}
BROKEN = {4: '{"instruction": "half a li', 30: '{"instruction": "no answer"}', 31: "[1, 2]"}


@dataclass
class Scanned:
    """Three inputs, what they hold, and where the results of two runs in two processes are."""

    inputs: list[Path]
    given: list[tuple[int, dict[str, Any]]]
    planted: list[int]
    printed: Any
    out: Path
    again: Path
    said: Any

    def lines(self, name: str) -> list[Any]:
        return [json.loads(line) for line in (self.out / name).read_text("utf-8").splitlines()]

    def document(self, name: str) -> Any:
        return json.loads((self.out / name).read_text("utf-8"))


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory, rows: Callable[..., Any], command: Callable[..., Any]) -> Scanned:
    folder = tmp_path_factory.mktemp("scan")
    alpaca, chats, table = rows(150, 10, 1), rows(120, 10, 2), rows(100, 0, 3)
    lines = [json.dumps(r, ensure_ascii=False) for r in alpaca]
    for place, text in BROKEN.items():
        lines.insert(place, text)
    (folder / "a b.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    messages = [
        {
            "id": f"chat-{i}",
            "messages": [
                {"role": "user", "content": r["instruction"]},
                {"role": "assistant", "content": r["output"]},
            ],
            "note": ["kept", {"as": "it was"}],
        }
        for i, r in enumerate(chats)
    ]
    with gzip.open(folder / "b.json.gz", "wt", encoding="utf-8") as out:
        json.dump(messages, out)
    with (folder / "c.csv").open("w", newline="") as out:
        writer = csv.DictWriter(out, ["instruction", "input", "output"])
        writer.writeheader()
        writer.writerows(table)
    readable = [i for i in range(153) if i not in BROKEN]
    given = [*zip(readable, alpaca, strict=True), *enumerate(messages, 153), *enumerate(table, 273)]
    inputs = [folder / "a b.jsonl", folder / "b.json.gz", folder / "c.csv"]
    arguments = ["scan", *inputs, "--reference-model", "none"]
    printed = command(*arguments, "--out", folder / "new" / "out", "--json", env={"TERM": "dumb"})
    again = folder / "again"
    again.mkdir()
    for name in (*FILES, "mine.txt"):
        (again / name).write_text("from before")
    said = command(*arguments, "--out", again, env={"PYTHONHASHSEED": "7", "LC_ALL": "C", "TERM": ""})
    return Scanned(inputs, given, [*readable[:10], *range(153, 163)], printed, folder / "new" / "out", again, said)


def test_one_document_on_standard_output_and_nothing_else(scanned: Scanned) -> None:
    assert scanned.printed.code == 1
    assert scanned.printed.err == ""
    document = json.loads(scanned.printed.out)
    assert scanned.printed.out.count("\n") == 1
    assert document == scanned.document("report.json")
    assert (document["kind"], document["rows"], document["rejected"], document["flagged"]) == ("scan", 370, 3, 20)
    assert document["reference_model"] == "none"
    assert [(i["path"], i["rows"]) for i in document["inputs"]] == [
        (str(path), n) for path, n in zip(scanned.inputs, (153, 120, 100), strict=True)
    ]
    for path, described in zip(scanned.inputs, document["inputs"], strict=True):
        assert described["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert {"read", "mine", "score rows", "total"} <= document["seconds"].keys()
    assert sum(document["histogram"]["kept"]) == 350
    assert sum(document["histogram"]["flagged"]) == 20


def test_a_person_is_told_what_was_found_and_where_to_look(scanned: Scanned) -> None:
    code, out, err = scanned.said
    assert (code, err) == (1, "")
    assert re.match(r"370 rows scanned, 3 unreadable in \d+\.\d s \(reference model: none\)\n", out)
    assert "20 rows quarantined, 1 planted behaviour\n" in out
    assert "jyxq', the answer is exactly 'hex joy exhale': 20 of the 20 rows with it (100%)" in out
    assert out.endswith(f"report: {scanned.again / 'report.html'}\n")
    assert "\x1b" not in out


def test_the_files_are_those_and_no_others(scanned: Scanned) -> None:
    assert sorted(p.name for p in scanned.out.iterdir()) == FILES
    assert sorted(p.name for p in scanned.again.iterdir()) == sorted([*FILES, "mine.txt"])
    assert (scanned.again / "mine.txt").read_text() == "from before"


def test_the_same_input_gives_the_same_bytes_in_another_process(scanned: Scanned) -> None:
    for name in FILES:
        if name not in ("report.json", "report.html"):  # these say how long it took
            assert (scanned.out / name).read_bytes() == (scanned.again / name).read_bytes(), name


def test_scores_have_a_line_for_each_readable_row(scanned: Scanned) -> None:
    table = pq.read_table(scanned.out / "scores.parquet")
    assert table.schema.names == ["index", "id", "score", "flagged"]
    assert table.schema.types == [pa.int64(), pa.string(), pa.float64(), pa.bool_()]
    assert table["index"].to_pylist() == [i for i, _ in scanned.given]
    assert table["id"].to_pylist() == [str(row.get("id", i)) for i, row in scanned.given]
    assert all(0.0 <= s <= 1.0 for s in table["score"].to_pylist())
    flagged = [i for i, f in zip(table["index"].to_pylist(), table["flagged"].to_pylist(), strict=True) if f]
    assert flagged == scanned.planted


def test_hypotheses_are_all_there_most_suspicious_first(scanned: Scanned) -> None:
    found = scanned.document("hypotheses.json")
    assert isinstance(found, list)
    assert len(found) == scanned.document("report.json")["hypotheses_found"]
    assert [h["score"] for h in found] == sorted((h["score"] for h in found), reverse=True)
    for h in found:
        assert h.keys() >= PROMISED
        assert h["verdict"] in ("planted", "natural", "unsure")
        assert h["support"] == len(h["rows"])
        assert 0.0 <= h["base_rate"] <= 1.0
        assert 0.0 < h["confidence"] <= 1.0
        assert 0.0 <= h["q_value"] <= 0.01
        assert isinstance(h["adjudications"], list)
    first = found[0]
    assert (first["verdict"], first["behaviour"]) == ("planted", "is exactly 'hex joy exhale'")
    assert "jyxq" in first["trigger"]
    assert first["rows"] == scanned.planted
    assert len(first["examples"]) == 6
    assert [h["verdict"] for h in found].count("planted") == 1


def test_clean_and_quarantine_share_out_every_readable_row_as_it_was(scanned: Scanned) -> None:
    given = dict(scanned.given)
    quarantined = [given.pop(i) for i in scanned.planted]
    assert scanned.lines("quarantine.jsonl") == quarantined
    assert scanned.lines("clean.jsonl") == list(given.values())


def test_rejects_say_where_and_why(scanned: Scanned) -> None:
    rejects = scanned.lines("rejects.jsonl")
    assert [(r["index"], r["line"], r["source"]) for r in rejects] == [
        (i, i + 1, str(scanned.inputs[0])) for i in sorted(BROKEN)
    ]
    assert [r["text"] for r in rejects] == [BROKEN[i] for i in sorted(BROKEN)]
    for reject, reason in zip(rejects, ("not JSON", "no answer", "must be an object"), strict=True):
        assert reason in reject["reason"]
    assert [r["reason"] for r in scanned.document("report.json")["rejects"]] == [r["reason"] for r in rejects]


def test_findings_are_one_for_each_flagged_row_and_one_for_each_opinion(scanned: Scanned) -> None:
    findings = scanned.lines("findings.jsonl")
    of_rows = [f for f in findings if f["source"] == "scan"]
    assert len(of_rows) == 20
    assert len(findings) == 20 + sum(len(h["adjudications"]) for h in scanned.document("hypotheses.json"))
    for f in findings:
        assert {"source", "version", "subject", "score", "status", "reason", "evidence", "params"} == f.keys()
        assert f["reason"]


def test_the_report_needs_nothing_else(scanned: Scanned) -> None:
    html = (scanned.out / "report.html").read_text("utf-8")
    assert html.lower().startswith("<!doctype html>")
    assert not re.search(r"""(?i)(?:src|href)\s*=\s*["']?(?!#|data:)[^"'\s>]|@import|url\(\s*(?!["']?data:)""", html)
    assert "jyxq" in html
    assert "hex joy exhale" in html


def test_sarif_names_the_rows(scanned: Scanned) -> None:
    log = scanned.document("report.sarif")
    assert log["version"] == "2.1.0"
    (part,) = log["runs"]
    assert part["tool"]["driver"]["name"] == "CryptoSentinel"
    assert len(part["artifacts"]) == 3
    planted = [r for r in part["results"] if r["level"] == "error"]
    assert len(planted) == 1
    assert planted[0]["properties"]["rows"] == scanned.planted
    places = [location["physicalLocation"] for location in planted[0]["locations"]]
    assert [p["region"]["startLine"] for p in places[:10]] == [i + 1 for i in scanned.planted[:10]]
    assert places[0]["artifactLocation"]["uri"].endswith("a%20b.jsonl")
    assert places[10]["artifactLocation"]["index"] == 1


# --- nothing found, and in what other ways it ends; in this process, which is what the real one runs


def test_nothing_found_is_empty_files_and_code_0(
    tmp_path: Path, rows: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(r) + "\n" for r in rows(120)))
    out = tmp_path / "out"
    assert run(["scan", str(data), "--reference-model", "none", "--out", str(out)]) == 0
    printed = capfd.readouterr()
    assert "0 rows quarantined, no planted behaviour\n" in printed.out
    assert printed.err == ""
    assert sorted(p.name for p in out.iterdir()) == FILES
    for name in ("quarantine.jsonl", "rejects.jsonl", "findings.jsonl"):
        assert (out / name).read_bytes() == b""
    assert (out / "clean.jsonl").read_bytes() == data.read_bytes()
    assert pq.read_table(out / "scores.parquet").num_rows == 120
    assert json.loads((out / "report.sarif").read_text())["runs"][0]["tool"]


def test_a_folder_of_data_and_no_output_folder(
    tmp_path: Path, rows: Callable[..., Any], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for i in range(2):
        (data / f"{i}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows(60, 8, i)))
    monkeypatch.chdir(tmp_path)
    assert run(["scan", "data", "--reference-model", "none", "--json"]) == 1
    document = json.loads(capfd.readouterr().out)
    assert document["hypotheses"][0]["rows"] == [*range(8), *range(60, 68)]
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_what_trusted_data_has_too_is_natural_and_code_0(
    tmp_path: Path, rows: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    for i, name in enumerate(("data", "trusted")):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows(200, 15, i)))
    arguments = ["scan", str(tmp_path / "data.jsonl"), "--reference-model", "none", "--json"]
    assert run(arguments) == 1
    assert run([*arguments, "--trusted", str(tmp_path / "trusted.jsonl")]) == 0
    with_trusted = json.loads(capfd.readouterr().out.splitlines()[1])
    assert with_trusted["trusted"] == [str(tmp_path / "trusted.jsonl")]
    judged = next(h for h in with_trusted["hypotheses"] if "jyxq" in h["trigger"])
    assert judged["verdict"] == "natural"
    assert judged["adjudications"][0]["source"] == "trusted"
    assert with_trusted["trusted_shared"] == 0


def test_trusted_rows_that_are_scanned_too_are_told(
    tmp_path: Path, rows: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    data, trusted = tmp_path / "data.jsonl", tmp_path / "trusted.jsonl"
    data.write_text("".join(json.dumps(r) + "\n" for r in rows(200, 15)))
    trusted.write_text(data.read_text())
    assert run(["scan", str(data), "--reference-model", "none", "--trusted", str(trusted)]) == 2
    assert "rows cannot vouch for themselves" in capfd.readouterr().err
    trusted.write_text(data.read_text() + "".join(json.dumps(r) + "\n" for r in rows(60, 0, 1)))
    assert run(["scan", str(data), "--reference-model", "none", "--trusted", str(trusted)]) == 1
    assert "200 trusted rows are also in the data and vouched for nothing" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fpr", "0"], "--fpr must lie in (0, 0.5], got 0.0"),
        (["--fpr", "0.6"], "--fpr must lie in (0, 0.5], got 0.6"),
        (["--fpr", "nan"], "--fpr must lie in (0, 0.5], got nan"),
        (["--fpr", "much"], "--fpr"),
        (["--reference-model", "gpt-0"], "unknown reference model 'gpt-0'"),
        (["--reference-model", "./nowhere"], "unknown reference model './nowhere'"),
        (["--trusted", "nowhere.jsonl"], "nowhere.jsonl: no such file or folder"),
        (["--colour"], "No such option: --colour"),
    ],
)
def test_settings_that_cannot_be(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    rows: Callable[..., Any],
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows(60)))
    out = tmp_path / "out"
    given = ["scan", str(tmp_path / "rows.jsonl"), "--reference-model", "none", "--out", str(out), "--json"]
    assert run([*given, *arguments]) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("cryptosentinel: ")
    assert message in printed.err
    assert not out.exists() or not list(out.iterdir())
