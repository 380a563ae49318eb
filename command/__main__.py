"""The command `proxy-wasm`, also as `python -m proxy_wasm`."""

from __future__ import annotations

from command.main import main

if __name__ == "__main__":
    main()
