"""`python -m plait`: the same as the `plait` program."""

from plait.cli.app import main

if __name__ == "__main__":
    main()
