"""What the pages of the project tell people to type."""

import re


def blocks(text, language):
    """The code blocks of a page in one language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def command_lines(text):
    """Shell commands, each on one line without its comment."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines) if line]
