"""`python -m vidguard.cli` is the `vidguard` command."""

from vidguard.cli.app import main

main()
