"""The sections of an nginx.conf, each with the reason for what stands in it.

What lives here: one function for each section; `nginx_config` puts them together. What they are given has been checked.

Sources: https://nginx.org/en/docs/http/websocket.html, ngx_http_proxy_module, ngx_http_upstream_module and
https://socket.io/docs/v4/reverse-proxy/.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from rtlab.scale.nginx_options import Balancing, PrivateNginx, ProxyLimits

__all__ = [
    "http_section",
    "locations_section",
    "main_section",
    "server_section",
    "strangers_section",
    "upstream_section",
]

REFUSAL = {
    "code": 0,
    "message": "Transport unknown: this server takes WebSocket only. Connect with transports: ['websocket'].",
}
"""What a polling request gets under "websocket_only": Engine.IO's own error 0, and what to do. No $ and no \\ in it."""


def main_section(limits: ProxyLimits, private: PrivateNginx | None) -> str:
    """What stands before the servers: processes, open files, and the beginning of ``http``."""
    if private is None:
        head = """\
# nginx.conf: Socket.IO and WebSocket over several workers, as `rtlab nginx-config` prints it.
#   nginx -t -c FILE     checks it
#   nginx -s reload      takes it over; open connections live on in the old processes
# Every worker has to trust this host's X-Forwarded-… headers (rtlab serve chat --trusted-proxy ADDRESS), and nobody
# else may reach the workers' ports.

# One process for each core.
worker_processes auto;"""
    else:
        owner = f"user {' '.join(private.owner)};\n" if private.owner else ""
        head = f"""\
# The lab's own nginx: no daemon, all its files in its working directory, what it says on standard error.
# Level notice tells when an old generation has stopped to accept connections.
{owner}daemon off;
pid nginx.pid;
error_log stderr notice;
worker_processes {private.processes};"""
    temporary = ""
    if private is not None:
        kinds = ("client_body", "proxy", *private.temp_modules)
        temporary = "    # Temporary files.\n" + "".join(f"    {kind}_temp_path {kind}_temp;\n" for kind in kinds)
    return f"""{head}
# Each connection is an open file, and the usual limit is 1024.
worker_rlimit_nofile {limits.connections + 512};
# After a reload, old processes serve their open WebSockets, which may stay for days; this ends it.
worker_shutdown_timeout {limits.shutdown_s}s;

events {{
    # For each process; a client counts twice, with its own connection and the one to a worker.
    worker_connections {limits.connections};
}}

http {{
{temporary}"""


def http_section(limits: ProxyLimits, log: str | None, *, polling: bool) -> str:
    """What all servers share: the log, what is passed on of Upgrade, slow clients, large bodies."""
    if log is None:
        logged = (
            "    # No access log. If you want one, leave $request and $args out: a session's id stands in the query.\n"
        )
        logged += "    access_log off;\n"
    else:
        row = (
            '{"worker":"$upstream_addr","status":"$status","method":"$request_method","path":"$uri",'
            '"seconds":"$request_time","time":"$time_iso8601"}'
        )
        logged = f"""\
    # Without the query: a session's id stands there, and who has it can speak for its client. A WebSocket gets its line
    # when it ends.
    log_format rtlab escape=json '{row}';
    access_log {log} rtlab;
"""
    refused = ""
    if polling:
        refused = """\
    # What is WebSocket by its query and by its header; everything else below Socket.IO's path is polling.
    map "$arg_transport $upgrade_header" $polling {
        "websocket websocket" "";
        default 1;
    }
"""
    return f"""\
    # nginx's version is nobody's business.
    server_tokens off;
{logged}
    # "Upgrade" and "Connection" speak of one hop, so a proxy drops them unless it is told to pass them on (RFC 9110,
    # section 7.6.1). Nothing but websocket is passed on: with h2c a client could tunnel past this file.
    map $http_upgrade $upgrade_header {{
        websocket websocket;
        default "";
    }}
    # A connection to a worker is not kept for the next request: the worker may just be closing it, and a POST that was
    # lost that way may not be sent again.
    map $upgrade_header $connection_header {{
        websocket upgrade;
        default close;
    }}
{refused}
    # Slow clients: seconds for a request's head, between two pieces of its body, between two pieces of an answer that
    # it takes, and until the next request on the same connection.
    client_header_timeout {limits.head_s}s;
    client_body_timeout {limits.body_s}s;
    send_timeout {limits.body_s}s;
    keepalive_timeout {limits.head_s}s;
    # Longest body: one POST of a polling client. More is 413 before a worker sees it.
    client_max_body_size {limits.body_bytes};
"""


def upstream_section(
    servers: Sequence[str], balancing: Balancing, limits: ProxyLimits, cookie: str, *, secure: bool
) -> str:
    """The workers, and which of them gets a request."""
    ways = {
        "round_robin": """\
        # Each request to the next worker. A polling client's requests then reach workers that do not know its session
        # ("Invalid session"): this is for WebSocket-only clients, or for one worker.
""",
        "ip_hash": """\
        # By the client's address (of IPv4 its first three bytes): one client stays with one worker, and so does
        # everyone behind the same router.
        ip_hash;
""",
        "sticky": f"""\
        # By a cookie that nginx sets: a polling client's requests have to reach the worker that knows its session. Not
        # every nginx has it: `rtlab doctor` tells. A client has to keep cookies: browsers do, the client in Node with
        # withCredentials: true. Scripts do not see it (httponly); other sites' pages do not send it (samesite).
        {"# Nobody sends it without TLS (secure)." if secure else "# Without TLS, whoever listens on the way sees it."}
        sticky cookie {cookie} path=/ httponly samesite=lax{" secure" if secure else ""};
""",
        "websocket_only": """\
        # Each connection to the next worker. A WebSocket is one request, so it stays where it is; polling is refused
        # below.
""",
    }
    listed = "\n".join(
        f"        server {each} max_fails={limits.max_fails} fail_timeout={limits.fail_s}s;" for each in servers
    )
    return f"""\
    upstream workers {{
        # Memory that nginx's processes share: whose turn it is, and who has failed, is the same for all.
        zone workers 256k;
{ways[balancing]}\
        # A worker that fails max_fails times within fail_timeout is left alone for that long (0: never).
{listed}
    }}
"""


def strangers_section(addresses: Sequence[str], ssl: str) -> str:
    """The server for names that are not ours."""
    listed = "\n".join(f"        listen {each}{ssl} default_server;" for each in addresses)
    reject = "        ssl_reject_handshake on;\n" if ssl else ""
    return f"""\
    # Who asks for another name (a scanner, a page that has bent its own name to this address) is not served.
    server {{
{listed}
{reject}        return 421;
    }}
"""


def server_section(
    addresses: Sequence[str], ssl: str, names: Sequence[str], files: tuple[str, str] | None, limits: ProxyLimits
) -> str:
    """Our server, up to its locations: what it passes to the workers, and for how long it waits."""
    listed = "\n".join(f"        listen {each}{ssl};" for each in addresses)
    named = f"        server_name {' '.join(names)};\n" if names else ""
    encrypted = ""
    if files:
        encrypted = f"""\
        # The certificate with its chain, and its key. No session tickets: their key would live as long as this process.
        ssl_certificate {files[0]};
        ssl_certificate_key {files[1]};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:tls:1m;
        ssl_session_tickets off;
"""
    return f"""\
    server {{
{listed}
{named}{encrypted}
        # HTTP/1.0, the default of older versions, knows no Upgrade.
        proxy_http_version 1.1;
        proxy_set_header Upgrade $upgrade_header;
        proxy_set_header Connection $connection_header;
        # The name and the port that the browser used: a server compares them with the page's Origin.
        proxy_set_header Host $http_host;
        # Who asked, and how. What the client says about it itself is replaced, not added to: it could be a lie. If
        # another proxy stands in front of this one, name it with set_real_ip_from (module realip).
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Forwarded-Port $server_port;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header Forwarded "";

        # Longer than the heartbeat (Socket.IO: 25 s): a worker that is silent for longer is given up. A WebSocket of
        # your own without pings is cut after this time.
        proxy_read_timeout {limits.silence_s}s;
        proxy_send_timeout {limits.silence_s}s;
        proxy_connect_timeout {limits.connect_s}s;
        # Finds a worker's host that has vanished without a word.
        proxy_socket_keepalive on;
        # An answer goes out as it comes. (A request's body is collected first, so a slow client holds no worker.)
        proxy_buffering off;
        # Ask another worker where one refused, or was lost before it had answered. A POST that a worker may have seen
        # is not sent twice: "non_idempotent" is left out for that.
        proxy_next_upstream error timeout;
        proxy_next_upstream_timeout {limits.retry_s}s;
"""


def locations_section(polling: str | None, private: PrivateNginx | None) -> str:
    """Where requests go, and the end of the file."""
    refusal = ""
    if polling is not None:
        body = json.dumps(REFUSAL).replace("'", "\\'")
        refusal = "".join(
            f"""\
        location {match} {{
            default_type application/json;
            if ($polling) {{
                return 400 '{body}';
            }}
            proxy_pass http://workers;
        }}
"""
            for match in (f"^~ {polling}/", f"= {polling}")
        )
    check = f"        location = {private.check_path} {{ access_log off; return 204; }}\n" if private else ""
    return f"""\
{check}{refusal}\
        location / {{
            proxy_pass http://workers;
        }}
    }}
}}
"""
