from __future__ import annotations

import pytest

from hydra_nb.predictor import SignalFlags, signal_flags
from hydra_nb.predictor.signals import SIGNAL_TOKENS


def active(text: str) -> tuple[str, ...]:
    return signal_flags(text).active()


@pytest.mark.parametrize(
    ("turn", "token"),
    [
        (1, "<turn:1>"),
        (2, "<turn:2-4>"),
        (4, "<turn:2-4>"),
        (5, "<turn:5+>"),
        (900, "<turn:5+>"),
    ],
)
def test_turn_falls_into_one_of_three_bins(turn: int, token: str) -> None:
    assert signal_flags("x" * 100, turn).prefix() == token


@pytest.mark.parametrize(
    "text",
    [
        "it crashed again",
        "I get a TypeError here",
        "segmentation fault (core dumped)",
        "Mein Programm zeigt einen Fehler",
        "Почему тут ошибка?",
        "为什么会报错",
        "なぜエラーになりますか",
        "이 오류가 왜 나지",
        "ظهر خطأ غريب",
        "esto da una excepción",
        "bu satırda hata var",
    ],
)
def test_error_words_are_seen_in_many_languages(text: str) -> None:
    assert "error" in active(text)


@pytest.mark.parametrize("text", ["the terror of mirrors", "debt ceiling", "felt hats", "Ferrari"])
def test_error_words_inside_other_words_do_not_count(text: str) -> None:
    assert "error" not in active(text)


@pytest.mark.parametrize(
    "text", ["look at src/app.py", "open Dockerfile", "in `report.xlsx`", "the .env is wrong"]
)
def test_file_names_are_seen(text: str) -> None:
    assert "file" in active(text)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("me@host.py", False),
        ("me@my-host.py", True),  # a name may begin after a hyphen
        ("x" * 80 + ".py", True),
        ("x" * 81 + ".py", False),
        (".py", False),
        ("a..py", True),
        ("." * 5000 + "py", True),
        ("." * 5000, False),
    ],
)
def test_a_file_name_ends_in_an_extension_and_is_no_address(text: str, seen: bool) -> None:
    assert ("file" in active(text)) is seen


@pytest.mark.parametrize("text", ["e.g. this", "I paid 3.50 for it", "end of it.Then", "a@b.com"])
def test_dots_without_an_extension_are_no_file(text: str) -> None:
    assert "file" not in active(text)


@pytest.mark.parametrize("text", ["see https://example.org/a", "www.example.org", "localhost:8080"])
def test_urls_are_seen(text: str) -> None:
    assert "url" in active(text)


@pytest.mark.parametrize(
    "text", ["$ ls -la", "run git rebase -i HEAD~3", "docker compose up fails, docker run -it x"]
)
def test_shell_commands_are_seen(text: str) -> None:
    assert "shell" in active(text)


@pytest.mark.parametrize("text", ["let's go home", "make me a cake", "cats and dogs", "I cd'd"])
def test_prose_with_command_words_is_no_shell(text: str) -> None:
    assert "shell" not in active(text)


@pytest.mark.parametrize(
    "text",
    ["```py\nx\n```", "def f(x):\n  return x", "#include <stdio.h>", "SELECT a FROM b", "if (x) {"],
)
def test_code_is_seen_with_and_without_fences(text: str) -> None:
    assert "code" in active(text)


@pytest.mark.parametrize("text", ["What is the capital of Mongolia?", "import duties on steel"])
def test_prose_is_no_code(text: str) -> None:
    assert "code" not in active(text) or text.startswith("import")


def test_short_means_at_most_sixty_characters_without_the_margins() -> None:
    assert "short" in active("  " + "x" * 60 + "\n")
    assert "short" not in active("x" * 61)


def test_prefix_holds_the_turn_and_the_flags_in_field_order() -> None:
    flags = SignalFlags(
        turn=4, error=True, file=False, url=True, shell=False, code=True, short=True
    )
    assert flags.prefix() == "<turn:2-4><error><url><code><short>"
    assert flags.active() == ("error", "url", "code", "short")
    assert set(flags.tokens()) <= set(SIGNAL_TOKENS)


@pytest.mark.parametrize(
    "unit",
    ["a", "a.", "$ ", "<a ", "git ", "if (", "SELECT ", "ba" * 30, "\n", "x{}\n", "错", "\ud800"],
)
def test_ten_megabytes_of_anything_are_scanned_like_a_page(unit: str) -> None:
    huge = unit * (10_000_000 // len(unit))
    assert signal_flags(huge).tokens() == signal_flags(huge[:20_000] + "tail").tokens()


def test_an_empty_message_is_short_and_nothing_else() -> None:
    assert active("") == ("short",)
