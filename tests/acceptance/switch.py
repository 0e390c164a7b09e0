"""What a person would write to switch NGINX: `python switch.py TARGET` points it to a target's upstream and reloads it.

It brings about a state, so that running it twice does no harm. Where things are is in SWITCH_UPSTREAMS (JSON),
SWITCH_FILE (which NGINX includes) and SWITCH_PID.
"""

import json
import os
import signal
import sys
from pathlib import Path


def main(target: str) -> None:
    address = json.loads(os.environ["SWITCH_UPSTREAMS"])[target]
    file = Path(os.environ["SWITCH_FILE"])
    written = file.with_suffix(".new")
    written.write_text(f"proxy_pass {address};\n")
    written.replace(file)
    os.kill(int(Path(os.environ["SWITCH_PID"]).read_text()), signal.SIGHUP)
    print(f"the traffic goes to {target}")


if __name__ == "__main__":
    main(sys.argv[1])
