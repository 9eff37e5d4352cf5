"""``python -m fuseguard``: the command, where the environment's scripts are not on PATH."""

from fuseguard.cli.main import main

if __name__ == "__main__":
    main()
