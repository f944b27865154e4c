"""`python -m cogtui`: the same as `cogtui`, for a shell that does not find it."""

from cogtui.cli.main import run

if __name__ == "__main__":
    run()
