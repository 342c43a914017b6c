"""`python -m avatar_cli` is `avatar`."""

from __future__ import annotations

from avatar_cli.main import main

if __name__ == "__main__":
    main()
