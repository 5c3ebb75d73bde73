"""What is given to `rtlab.cluster` by mistake: each gets a sentence, before anything is started."""

from __future__ import annotations

import pytest
from aiohttp import web

import rtlab


def create():
    """A factory that a worker could import."""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"balancing": "round robin"}, "there is no such balancing. Did you mean 'round_robin'?"),
        ({"balancing": "Sticky"}, "Did you mean 'sticky'?"),
        ({"balancing": "websockets_only"}, "Did you mean 'websocket_only'?"),
        ({"balancing": "least_conn"}, "There are: 'round_robin', 'ip_hash', 'sticky', 'websocket_only'."),
        ({"balancing": None}, "balancing=None"),
        ({"balancing": ["sticky"]}, "there is no such balancing"),
        ({"workers": 0}, "workers=0: expected a whole number from 1 to 64."),
        ({"workers": -1}, "from 1 to 64"),
        ({"workers": 65}, "from 1 to 64"),
        ({"workers": True}, "workers=True"),
        ({"workers": "3"}, "workers='3'"),
        ({"workers": 2.0}, r"workers=2\.0"),
        ({"app": create}, r"Write app='.*test_cluster_arguments:create'\."),
        ({"app": lambda: None}, "Put the code that makes it into a file of its own"),
        ({"app": web.Application()}, "%%writefile my_app.py"),
        ({"app": None}, "expected an import string, since each worker imports the app by itself"),
        ({"app": "chat.py"}, "without .py and without parentheses"),
        ({"app": "chat:create()"}, "without .py and without parentheses"),
        ({"redis": "redis://127.0.0.1"}, "A Redis of your own is named by the environment variable REDIS_URL."),
        ({"redis": None}, "redis=None: expected True or False"),
        ({"tls": "certificate.pem"}, r"CertificatePair\(…\)"),
        ({"crosses": 1}, "crosses=1: expected True or False"),
        ({"port": "8000"}, "A TCP port is a number"),
        ({"env": ["A=B"]}, "names and texts"),
        ({"env": {"LEVEL": 3}}, "names and texts"),
        ({"env": {"A": "\0"}}, "names and texts"),
        ({"env": {"RTLAB_WORKER": "me"}}, "'RTLAB_WORKER' cannot be set: the cluster does"),
        ({"env": {"": "empty"}}, "'' cannot be set"),
    ],
)
async def test_a_mistake_is_explained(given, said):
    with pytest.raises(rtlab.UsageError, match=said):
        await rtlab.start_cluster(**given)
    assert rtlab.resources() == ()


async def test_a_call_in_the_wrong_way():
    with pytest.raises(rtlab.UsageError, match=r"async with rtlab.cluster\(…\) as cluster:"):
        async with rtlab.start_cluster():
            pass
    with pytest.raises(rtlab.UsageError, match=r"cluster = await rtlab.start_cluster\(…\)"):
        await rtlab.cluster()
    with pytest.raises(TypeError, match="balance"):
        await rtlab.start_cluster(balance="sticky")
