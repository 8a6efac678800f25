"""What a shell completes: names of files where an option or argument takes one; and PowerShell, which Click has not."""

from __future__ import annotations

import os
from typing import Any, ClassVar

import click
from click.shell_completion import CompletionItem, ShellComplete, add_completion_class

SHELLS = ("bash", "zsh", "fish", "powershell")


class Names(click.types.StringParamType):
    """Text that is the name of a file or folder."""

    def __init__(self, kind: str):
        self.kind = kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[Any]]:
        """Leave it to the shell."""
        return [CompletionItem(incomplete, type=self.kind)]


NAMES = {"FILE": Names("file"), "FILE|-": Names("file"), "INPUT...": Names("file"), "DIR": Names("dir")}


def complete_names(command: click.Command) -> click.Command:
    """The same command; options and arguments that are called FILE, DIR or INPUT complete names."""
    for parameter in command.params:
        if parameter.type is click.STRING and parameter.metavar in NAMES:
            parameter.type = NAMES[parameter.metavar]
    return command


class PowerShell(ShellComplete):
    """Completion for PowerShell 5.1 and later.

    The words before the cursor come one a line in COMP_WORDS, the one at the cursor in COMP_CWORD, and answers go back
    as in fish: `plain,VALUE` and perhaps a tab and a help text. Where there are none PowerShell completes file names.
    """

    name: ClassVar[str] = "powershell"
    source_template: ClassVar[str] = """\
Register-ArgumentCompleter -Native -CommandName %(prog_name)s -ScriptBlock {
    param($word, $ast, $cursor)
    $words = foreach ($element in $ast.CommandElements) {
        if ($element.Extent.EndOffset -ge $cursor) { continue }
        if ($element -is [System.Management.Automation.Language.StringConstantExpressionAst]) { $element.Value }
        else { $element.Extent.Text }
    }
    $env:COMP_WORDS = $words -join "`n"
    $env:COMP_CWORD = "$word".Trim('"', "'")
    $env:%(complete_var)s = "powershell_complete"
    try { $lines = & %(prog_name)s 2>$null }
    finally { Remove-Item Env:COMP_WORDS, Env:COMP_CWORD, Env:%(complete_var)s -ErrorAction SilentlyContinue }
    foreach ($line in $lines) {
        $kind, $rest = $line -split ",", 2
        if ($kind -ne "plain") { continue }
        $value, $help = $rest -split "`t", 2
        if (-not $help) { $help = $value }
        [System.Management.Automation.CompletionResult]::new($value, $value, "ParameterValue", $help)
    }
}
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the cursor, and the one at it; PowerShell sets no variable to nothing."""
        return os.environ.get("COMP_WORDS", "").splitlines()[1:], os.environ.get("COMP_CWORD", "")

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """A line that the script above takes apart."""
        words = " ".join((item.help or "").split())
        return f"{item.type},{item.value}" + (f"\t{words}" if words else "")


add_completion_class(PowerShell)
