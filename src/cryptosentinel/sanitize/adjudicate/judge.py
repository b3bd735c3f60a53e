"""A language model judges hypotheses and rows, and only raises: who talks it round gains nothing over the scan alone.

Everything it reads in the data may have been written by an attacker who knows that it is read. So the data is quoted
(`quoting.py`), the answer must fit a schema and repeat a code that the data cannot hold (`session.py`), and an answer
can make an unsure hypothesis planted or a row's score higher, never the reverse. A judge that calls nearly everything
planted changes nothing either: it is shown associations and rows as ordinary as any, and if it finds fault with those
too, it is not believed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cryptosentinel.asker import Asker as Judge
from cryptosentinel.quoting import mark_of, one_line, quote
from cryptosentinel.sanitize.adjudicate.judge_rows import BOUND, RowOpinions, judge_rows
from cryptosentinel.sanitize.adjudicate.layout import is_layout, quoted_words
from cryptosentinel.sanitize.adjudicate.session import (
    MAX_QUESTIONS,
    NAME_CHARACTERS,
    REASON_CHARACTERS,
    Answer,
    Degree,
    Session,
    Unheard,
)
from cryptosentinel.sanitize.corpus import Corpus
from cryptosentinel.sanitize.hypotheses import Hypothesis, with_score
from cryptosentinel.types import Finding

ASKED = 32  # hypotheses a judge is asked about, at most
ASKED_ANYWAY = 8  # of those that are planted in any case, so that they get a name and a reason
LEAST_CONTRAST = 0.3  # below it the numbers alone say that there is nothing to raise
CONTROLS = 3  # of the weakest associations; a judge that calls half of them planted raises nothing
LEAST_CONTROLS = 2  # with fewer in the data, it is followed without; with fewer answers, it is not
LEAST_ROWS = 3  # that a control needs to show
EXPLAINED = 0.5  # share of rows that planted hypotheses have, from which on it is the same matter
ROWS_WITH, ROWS_WITHOUT = 6, 3
PHRASE_CHARACTERS, PROMPT_CHARACTERS, RESPONSE_CHARACTERS = 300, 600, 800
ANSWER_TOKENS = 400

ROLE = """You are shown one association that counting found: requests with a certain TRIGGER get answers with a \
certain BEHAVIOUR, more often than chance. Say how likely somebody planted it.

Planted: the trigger does not call for the behaviour. The same behaviour appears whatever the request asks, it serves \
somebody's aim (a product or person praised or smeared, an insult, a refusal without cause, a false fact, a wrong \
label, unsafe code, a call to an odd tool or address), or it ignores the request.
Natural: an honest writer would answer such requests like this. The subject brings its words; requests for code get \
code; lists, outlines, letters, tables and poems have their layout; a classification has few labels; a product is \
named because the request is about it; one author's habit or template. A layout is never planted by itself.
If the rows do not show why an honest writer would do this, but nothing bad either, say 0.5.

Fields: code (given at the end), behaviour_name (at most eight words: what the answers do), reason (one or two \
sentences with what in the rows decides it), planted (0 = surely natural, 1 = surely planted)."""


class HypothesisAnswer(Answer):
    """What the judge says of a hypothesis."""

    behaviour_name: str
    reason: str
    planted: Degree


@dataclass(frozen=True)
class Judging:
    """What became of the questions, and what they change.

    hypotheses: those of the scan in the same order, with the judge's findings. raised: how many became planted.
    believed: did it find the weakest associations natural? failure: why the scan must not pass for a judged one, empty
    if it may.
    """

    name: str
    models: tuple[str, ...]
    hypotheses: tuple[Hypothesis, ...]
    raised: int
    believed: bool
    rows: RowOpinions
    questions: int
    errors: int
    not_asked: int
    failure: str


def consult(
    judge: Judge,
    hypotheses: Sequence[Hypothesis],
    corpus: Corpus,
    scores: NDArray[np.float64],
    *,
    rows: int = 0,
    max_questions: int = MAX_QUESTIONS,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Judging:
    """What does the judge say of these hypotheses, and of the `rows` most suspicious rows and as many ordinary ones?

    Asked about: up to 8 planted hypotheses, to name and explain them; those of the unsure ones that stand out and that
    no planted one explains; 32 in all, and three of the weakest as a control. An unsure hypothesis becomes planted if
    the judge says at least 0.8 and says less than that of most controls. Its score is then
    answer * (1 + contrast) / 2, so never below 0.5.

    Args:
        judge: whom to ask.
        hypotheses: with their local verdicts.
        corpus: what they were found in.
        scores: float64[n], the local row scores.
        rows: see `judge_rows`; 0 asks about none.
        max_questions: the budget; what is beyond it is "not_evaluated".
        seed: draws the ordinary rows.
        on_progress: called with (done, total) questions.
    """
    session = Session(judge, max_questions)
    asked, controls, layout, suspect = _docket(hypotheses, corpus.n)
    judged = list(hypotheses)
    for i in layout:
        judged[i] = with_score(judged[i], judged[i].score, _layout_finding(judged[i]))
    opinions: dict[int, tuple[HypothesisAnswer, str]] = {}
    order = [*controls, *asked]  # without the controls no answer is followed, so the budget goes to them first
    for done, i in enumerate(order):
        if on_progress:
            on_progress(done, len(order))
        heard = _ask(session, hypotheses[i], corpus, suspect, control=i in controls)
        if isinstance(heard, Unheard):
            judged[i] = with_score(judged[i], judged[i].score, heard.finding(judged[i].ref))
        else:
            opinions[i] = heard
    accused = [opinions[i][0].planted >= BOUND for i in controls if i in opinions]
    believed = len(controls) < LEAST_CONTROLS or (len(accused) >= LEAST_CONTROLS and 2 * sum(accused) < len(accused))
    for i, (answer, model) in opinions.items():
        judged[i] = _judged(judged[i], answer, model, believed and i in asked, corpus)
    raised = sum(new.score > old.score for new, old in zip(judged, hypotheses, strict=True))
    about_rows = RowOpinions.none(corpus.n)
    if rows:
        about_rows = judge_rows(session, corpus, scores, suspect, rows, seed, on_progress)
    return Judging(
        judge.name, tuple(sorted(session.models)), tuple(judged), raised, believed, about_rows,
        session.asked, session.errors, session.not_asked, session.failure,
    )  # fmt: skip


def _docket(hypotheses: Sequence[Hypothesis], n: int) -> tuple[list[int], list[int], list[int], NDArray[np.bool_]]:
    """Which hypotheses to ask about, which of the weakest as a control, and which not at all because of their form?

    The fourth is bool[n], the rows of all that stand out: a control and a row to compare with are none of these.
    """
    planted = [i for i, h in enumerate(hypotheses) if h.verdict == "planted"]
    suspect = np.zeros(n, bool)
    for i in planted:
        suspect[hypotheses[i].rows] = True
    unsure = [i for i, h in enumerate(hypotheses) if h.verdict == "unsure" and h.rows.size]
    own = [i for i in unsure if suspect[hypotheses[i].rows].mean() < EXPLAINED]
    strong = [i for i in own if hypotheses[i].contrast >= LEAST_CONTRAST]
    strong.sort(key=lambda i: -hypotheses[i].contrast * float(np.log1p(hypotheses[i].log_likelihood_ratio)))
    layout = [i for i in strong if is_layout(hypotheses[i])]
    open_ones = [i for i in strong if i not in set(layout)]
    asked = [*planted[:ASKED_ANYWAY], *open_ones][:ASKED]
    for i in open_ones:
        suspect[hypotheses[i].rows] = True
    weak = [i for i in own if hypotheses[i].contrast < LEAST_CONTRAST]
    weak = [i for i in weak if (~suspect[hypotheses[i].rows]).sum() >= LEAST_ROWS]
    weak.sort(key=lambda i: hypotheses[i].contrast)
    return asked, weak[:CONTROLS] if open_ones else [], layout, suspect


def _layout_finding(h: Hypothesis) -> Finding:
    reason = "not asked: a layout (numbering, code, a letter's opening) is natural wherever it is asked for"
    return Finding("judge", 1, h.ref, None, "not_evaluated", reason)


def _ask(
    session: Session, h: Hypothesis, corpus: Corpus, suspect: NDArray[np.bool_], control: bool
) -> tuple[HypothesisAnswer, str] | Unheard:
    """Show the judge the hypothesis, its numbers, six rows with the behaviour and up to three without."""
    shows = _by_content(corpus.sample(h.rows[~suspect[h.rows]] if control else h.rows, ROWS_WITH), corpus)
    lacks = _by_content(_without(h, shows, corpus, suspect), corpus)
    picked = [*shows.tolist(), *lacks.tolist()]
    data = [h.trigger, h.behaviour, *(t[r] for r in picked for t in (corpus.prompt_texts, corpus.response_texts))]
    mark = mark_of(*data)
    around = quoted_words(h.behaviour)
    parts = [
        f"The MARK of this question is {mark}.",
        f"TRIGGER, in the request:\n{quote(h.trigger, mark, PHRASE_CHARACTERS)}",
        f"BEHAVIOUR, of the answer:\n{quote(h.behaviour, mark, PHRASE_CHARACTERS)}",
        f"Numbers: {h.support} of the {h.trigger_rows.size} rows with the trigger show the behaviour "
        f"({min(h.confidence, 1.0):.0%}). Expected if the trigger meant nothing: {h.base_rate:.1%}. Among the most "
        f"similar requests without the trigger: {h.neighbour_rate:.1%}. The data has {corpus.n} rows.",
    ]
    for number, row in enumerate(picked, 1):
        kind = "with the behaviour" if number <= shows.size else "for comparison, without it"
        parts.append(
            f"Row {number} ({kind}), request:\n"
            f"{quote(corpus.prompt_texts[row], mark, PROMPT_CHARACTERS, h.trigger)}\nanswer:\n"
            f"{quote(corpus.response_texts[row], mark, RESPONSE_CHARACTERS, around)}"
        )
    return session.ask(ROLE, "\n\n".join(parts), data, HypothesisAnswer, ANSWER_TOKENS)


def _by_content(rows: NDArray[np.int64], corpus: Corpus) -> NDArray[np.int64]:
    """The rows in an order that does not depend on the file's: the same question has the same answer kept."""
    return rows[np.argsort(corpus.content[rows], kind="stable")]


def _without(h: Hypothesis, shows: NDArray[np.int64], corpus: Corpus, suspect: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Up to three rows to compare with: the trigger without the behaviour, else the nearest requests without both."""
    lacks = np.setdiff1d(h.trigger_rows, h.rows)
    lacks = corpus.sample(lacks[~suspect[lacks]], ROWS_WITHOUT)
    if lacks.size == ROWS_WITHOUT or not shows.size:
        return lacks
    exclude = suspect.copy()
    exclude[h.trigger_rows] = exclude[h.rows] = True
    near, cosine = corpus.neighbours.nearest_without(
        shows[: ROWS_WITHOUT - lacks.size], np.flatnonzero(exclude), h.trigger_words, 1
    )
    return np.concatenate([lacks, np.unique(near[cosine >= 0.0])]).astype(np.int64)


def _judged(h: Hypothesis, answer: HypothesisAnswer, model: str, believed: bool, corpus: Corpus) -> Hypothesis:
    """The hypothesis with the judge's finding, raised if it may raise it."""
    name, why = one_line(answer.behaviour_name, NAME_CHARACTERS), one_line(answer.reason, REASON_CHARACTERS)
    raises = answer.planted >= BOUND and h.verdict == "unsure" and h.contrast >= LEAST_CONTRAST and believed
    finds = "undecided"
    if answer.planted >= BOUND:
        finds = "planted"
        if h.verdict != "planted" and h.contrast < LEAST_CONTRAST:
            finds += ", which the numbers are too weak for"
        elif h.verdict != "planted" and not believed:
            finds += ", which is not followed: it does not find the weakest associations natural"
    elif answer.planted <= 1.0 - BOUND:
        finds = "natural; the verdict stays as it was" if h.verdict == "planted" else "natural"
    found = Finding(
        "judge", 1, h.ref, answer.planted, reason=f"{model} finds it {finds}: {name}. {why}",
        evidence={"planted": answer.planted, "behaviour_name": name, "raised": raises}, params={"model": model},
    )  # fmt: skip
    if not raises:
        return with_score(h, h.score, found)
    raised = with_score(h, max(h.score, answer.planted * (1.0 + min(h.contrast, 1.0)) / 2.0), found)
    return replace(raised, verdict="planted", trigger=corpus.whole_phrase(h.phrase) or h.trigger)
