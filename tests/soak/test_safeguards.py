"""Each safeguard is needed, and the checker sees that: without it a scene fails that passes with it."""

from __future__ import annotations

import pytest
from deadlines import WAIT_S
from soak.scenes import SCENES
from soak.stage import staged

from rtlab.errors import MissingProgramError
from rtlab.servers import programs

try:
    programs.nginx()
    programs.valkey()
except MissingProgramError as error:
    pytest.skip(str(error), allow_module_level=True)

pytestmark = pytest.mark.timeout(WAIT_S * 6)
QUICK = {"duplicate check"}
"""What `make test` takes a sample of."""
NAMES = [pytest.param(name, marks=[] if name in QUICK else pytest.mark.long) for name in SCENES]


@pytest.mark.long
@pytest.mark.parametrize("name", SCENES)
async def test_with_it(name):
    scene = SCENES[name]
    async with staged(workers=scene.workers, durability=scene.durability) as stage:
        await scene.play(stage)
        verdict = await stage.judge()
    assert verdict.result == "pass", verdict


@pytest.mark.parametrize("name", NAMES)
async def test_without_it(name, monkeypatch):
    scene = SCENES[name]
    if scene.spoil is not None:
        scene.spoil(monkeypatch)
    started = {"workers": scene.workers, "durability": scene.durability} | scene.without
    async with staged(name, **started) as stage:
        await scene.play(stage)
        verdict = await stage.judge()
    assert verdict.result == "fail", verdict
    broken = {each.guarantee for each in verdict.findings if each.result == "fail"}
    assert broken & scene.breaks, verdict
    print(verdict)
