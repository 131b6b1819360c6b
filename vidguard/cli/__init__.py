"""The command line. It translates arguments into calls and answers into text; it decides nothing."""
