"""The page beside a cell."""

import rtlab
from rtlab.chat import create_app, show

SECRET = "a secret of the tests, longer than 32 bytes"


async def test_a_frame_with_what_it_needs_behind_the_hash(monkeypatch):
    async with rtlab.serve(create_app(secret=SECRET, dev=True)) as server:
        assert f'src="{server.url}/#room=lobby"' in show(server)._repr_html_()
        shown = show(server, room="a b", token="t.o.k", height=100)._repr_html_()
        assert f'src="{server.url}/#room=a+b&amp;token=t.o.k"' in shown
        assert 'height="100"' in shown
        monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/alice/")
        assert f'src="/user/alice/proxy/{server.port}/#room=lobby"' in show(server)._repr_html_()
