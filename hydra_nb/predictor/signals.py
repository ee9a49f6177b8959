"""The seven signals that HyDRA puts before the prompt, found with pure Python in linear time.

The paper names the flags, not their exact tokens; tokens and rules here are this project's own and
carry a version (`SIGNAL_VERSION`), which a checkpoint records.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

SIGNAL_VERSION = 1
"""Raised whenever a rule or a token changes; a checkpoint of another version is refused."""

SCANNED_CHARACTERS = 20_000
"""Only this much of a prompt is scanned, so that a 10 MB prompt costs the same as a page."""

SHORT_CHARACTERS = 60
"""A message of at most this many characters, stripped, is short."""

TURN_TOKENS = ("<turn:1>", "<turn:2-4>", "<turn:5+>")
FLAG_TOKENS = {
    "error": "<error>",
    "file": "<file>",
    "url": "<url>",
    "shell": "<shell>",
    "code": "<code>",
    "short": "<short>",
}
SIGNAL_TOKENS = (*TURN_TOKENS, *FLAG_TOKENS.values())
"""Every token that `SignalFlags.prefix` can contain, in a fixed order."""

# Words of languages written with spaces are matched whole, the others as substrings: `\b` means
# nothing between two Han or Thai characters.
_ERROR_WORDS = re.compile(
    r"(?i)(?<![^\W\d_])(?:errors?|exceptions?|traceback|tracebacks|stack ?traces?|segfaults?"
    r"|segmentation fault|panic(?:s|ked)?|crash(?:es|ed|ing)?|fail(?:s|ed|ing|ures?)?|bugs?|buggy"
    r"|broken|deadlocks?|core dumped|undefined reference|out of memory|oom|nan|exit code [1-9]"
    r"|fehler|fehlermeldung|abst(?:urz|ürzt)|kaputt|erreurs?|échoue|plante|errori|errore|fallisce"
    r"|errores|fallos?|falla|excepci[oó]n|erros?|falha|exceção|fout|foutmelding|fel|felmeddelande"
    r"|fejl|feil|virhe|błąd|błędu|błędy|chyb[ay]|hiba|eroare|hata|hatası|lỗi|galat|kesalahan"
    r"|ошибк[аиуе]|исключение|падает|помилк[аиу]|грешка|σφάλμα|kosa|hitilafu)(?![^\W\d_])"
)
_ERROR_CAMEL = re.compile(r"[A-Za-z]{2,40}(?:Error|Exception|Warning)\b")
_ERROR_SUBSTRINGS = (
    "错误", "錯誤", "报错", "報錯", "异常", "崩溃", "崩潰", "失败",
    "エラー", "例外", "バグ", "失敗", "クラッシュ", "오류", "에러", "버그", "예외",
    "خطأ", "خطا", "שגיאה", "त्रुटि", "एरर", "ত্রুটি", "ข้อผิดพลาด", "பிழை", "లోపం",
)  # fmt: skip
# Found from its extension backwards (`_has_file_name`): from the front, every dot of a long row of
# dots would be a start to try.
_EXTENSION = re.compile(
    r"(?<=[\w.\-])\.(?:py|pyi|ipynb|js|jsx|mjs|cjs|ts|tsx|vue|svelte|java|kt|kts|scala"
    r"|groovy|go|rs|c|h|cc|cpp|cxx|hpp|cs|fs|vb|rb|php|swift|m|mm|dart|lua|pl|r|jl|ex|exs|erl|hs|ml"
    r"|clj|sql|sh|bash|zsh|ps1|bat|html?|css|scss|sass|less|xml|json|jsonl|ya?ml|toml|ini|cfg|conf"
    r"|env|lock|md|rst|txt|log|csv|tsv|xlsx?|docx?|pptx?|pdf|parquet|png|jpe?g|gif|svg|webp|mp[34]"
    r"|wav|zip|tar|gz|tgz|tf|proto|gradle|cmake|ipa|apk|exe|dll|so|db|sqlite|bak)(?![\w])",
    re.IGNORECASE,
)
_STEM_CHARACTER = re.compile(r"[\w.\-]")
_STEM_CHARACTERS = 80
_FILE_NAME = re.compile(
    r"(?<!\w)(?:Dockerfile|Makefile|Jenkinsfile|Gemfile|Procfile|CMakeLists)(?!\w)"
    r"|(?<!\w)\.(?:env|gitignore|dockerignore|bashrc|zshrc|npmrc|eslintrc|editorconfig)(?!\w)",
    re.IGNORECASE,
)
_URL = re.compile(r"(?i)\b(?:https?|ftp|wss?|ssh|git)://\S|\bwww\.[a-z0-9]|\blocalhost:\d")
_SHELL = re.compile(
    r"(?m)^[ \t]{0,8}(?:[$#%>] |PS>|❯ )\S"
    r"|(?<![\w./-])(?:sudo|npm|npx|yarn|pnpm|pip3?|conda|poetry|cargo|rustup|docker|docker-compose"
    r"|kubectl|helm|terraform|ansible|git|gh|curl|wget|ssh|scp|rsync|chmod|chown|grep|rg|sed|awk|tar"
    r"|systemctl|journalctl|apt|apt-get|brew|yum|dnf|mvn|gradle|make|cmake|pytest|uv|go|ls|cd|rm|mv"
    r"|cp|cat|tail|ps|kill|export|source|psql|mysql|redis-cli|aws|gcloud|az)"
    r" {1,3}(?:-{1,2}[A-Za-z]|install\b|run\b|build\b|test\b|push\b|pull\b|commit\b|clone\b"
    r"|checkout\b|rebase\b|merge\b|apply\b|get\b|up\b|down\b|exec\b|start\b|restart\b|status\b"
    r"|init\b|add\b|diff\b|log\b|mod\b|vet\b|[~./][\w./~-]|[\w./-]{1,60}/|\|)"
)
_CODE = re.compile(
    r"```|~~~"
    r"|(?m:^[ \t]{0,24}(?:def \w{1,60}\(|class \w{1,60}[:({ ]|import [\w.{*]"
    r"|from [\w.]{1,60} import "
    r"|(?:public|private|protected|static|async|export|pub) [\w<>\[\]]|func \w|fn \w"
    r"|function\b.{0,60}\("
    r"|(?:const|let|var) \w{1,60} ?[:=]|#include ?[<\"]|package \w|using \w[\w.]{0,60};|@\w{1,40}\n"
    r"|(?:SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER) .{0,200}(?:FROM|INTO|SET|TABLE|INDEX)\b"
    r"|(?:if|for|while|switch) ?\(.{1,120}\) ?\{|<[a-zA-Z][\w-]{0,30}[ >].{0,80}>"
    r"|return [\w(\[{\"'].{0,80};))"
    r"|[;{}]\s{0,4}\n[ \t]{0,24}[\w}/]"
)


@dataclass(frozen=True)
class SignalFlags:
    """The seven signals of one message.

    Attributes:
        turn: 1 for the first turn, 4 for turns 2–4, 5 for later ones (the upper end of the bin).
        error: an error keyword, in any of about 30 languages, or an exception name.
        file: a file name or a known extension.
        url: a URL.
        shell: a shell prompt or command.
        code: a code block, fenced or not.
        short: at most `SHORT_CHARACTERS` characters.
    """

    turn: int
    error: bool
    file: bool
    url: bool
    shell: bool
    code: bool
    short: bool

    def tokens(self) -> tuple[str, ...]:
        """Return the tokens put before the prompt: the turn bin, then the flags that are set."""
        turn_token = TURN_TOKENS[(1, 4, 5).index(self.turn)]
        return (turn_token, *(FLAG_TOKENS[name] for name in self.active()))

    def prefix(self) -> str:
        """Return the exact text of the prefix, for example `<turn:1><error><code>`."""
        return "".join(self.tokens())

    def active(self) -> tuple[str, ...]:
        """Return the names of the flags that are set, in field order; `turn` is not a flag."""
        names = (field.name for field in fields(self) if field.name != "turn")
        return tuple(name for name in names if getattr(self, name))


def turn_bin(turn: int) -> int:
    """Return 1 for turn ≤ 1, 4 for 2–4, 5 for later turns."""
    return 1 if turn <= 1 else 4 if turn <= 4 else 5


def _has_file_name(text: str) -> bool:
    """Return whether a known extension follows a name that no `@` or longer word runs into."""
    for found in _EXTENSION.finditer(text):
        start = found.start() - 1
        last = max(found.start() - _STEM_CHARACTERS, 0)
        while start >= last and _STEM_CHARACTER.match(text[start]):
            before = text[start - 1 : start]
            if not (before == "@" or before == "_" or before.isalnum()):
                return True
            start -= 1
    return False


def signal_flags(text: str, turn: int = 1) -> SignalFlags:
    """Return the seven signals of `text`, a user message on the given turn (counted from 1).

    Only the first `SCANNED_CHARACTERS` are read, and every pattern repeats a bounded number of
    times, so the time is bounded for any text.
    """
    head = text[:SCANNED_CHARACTERS]
    lowered = head.lower()
    return SignalFlags(
        turn=turn_bin(turn),
        error=bool(_ERROR_WORDS.search(head) or _ERROR_CAMEL.search(head))
        or any(word in lowered for word in _ERROR_SUBSTRINGS),
        file=bool(_FILE_NAME.search(head)) or _has_file_name(head),
        url=bool(_URL.search(head)),
        shell=bool(_SHELL.search(head)),
        code=bool(_CODE.search(head)),
        short=len(head) < SCANNED_CHARACTERS and len(head.strip()) <= SHORT_CHARACTERS,
    )
