# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand in for the get-pip.py that ansible-test would download, where only a package index is reachable.

ansible-test runs it inside each new virtualenv with the arguments of a `pip install`.
"""

from __future__ import annotations

import subprocess
import sys

NOT_PIP_OPTIONS = {"--no-setuptools", "--no-wheel"}

if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument not in NOT_PIP_OPTIONS]
    # Not imported: ensurepip would disable the user's pip configuration for the next command, too.
    subprocess.run([sys.executable, "-m", "ensurepip", "--upgrade"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *arguments], check=True)
