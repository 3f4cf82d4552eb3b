"""``tempolite``: the commands, and nothing else."""

from __future__ import annotations

import click

from tempolite.cli.demo.command import demo

COMMANDS: tuple[click.Command, ...] = (demo,)


@click.group()
@click.version_option(package_name="tempolite", prog_name="tempolite")
def main() -> None:
    """Durable workflows in one process and one SQLite file."""


for command in COMMANDS:
    main.add_command(command)
