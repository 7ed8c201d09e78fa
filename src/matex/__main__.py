"""python -m matex: the same as the command."""

from matex.cli import main

if __name__ == "__main__":
    main()
