"""The command line: a package for each group of commands, over a shared `console`.

Data goes to stdout, everything else to stderr. A `commands` module declares options and imports the module that does
the work only when the command runs, so that `cogtui --help` stays quick. The entry point is `main.run`.
"""
