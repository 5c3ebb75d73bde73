"""The tests of the contract, all of them, played to a chat that has its rooms, messages and sessions in Redis."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PLAYED = ("test_contract.py", "test_client.py", "test_endings.py")
NOT_PLAYED = "five_minutes"
"""It sets the clock of the process; Redis has its own. `test_redis_sessions` reads how long a session lives."""


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_contract_holds_with_redis(valkey):
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-k", f"not {NOT_PLAYED}"]
    environment = {**os.environ, "RTLAB_TEST_CHAT_ON": valkey}
    done = subprocess.run(
        [*command, *(str(HERE / each) for each in PLAYED)], env=environment, capture_output=True, text=True, check=False
    )
    print(done.stdout[-3000:])
    assert done.returncode == 0
    assert "passed" in done.stdout
