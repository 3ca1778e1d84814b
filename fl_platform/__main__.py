"""`python -m fl_platform` is `fl-platform`."""

from fl_platform.cli.main import main

if __name__ == "__main__":
    main()
