"""Floor 4: what runs on more than one process, and what stands before and behind those.

A cluster, from `rtlab.cluster` to its end:

1. `launching` checks the `arguments`, and starts a `broker` (a Valkey of ours, in `valkey`, or the one of REDIS_URL);
2. `workers` starts each process with a port of its own, which runs ``worker_program.py``; there `offering` finds the
   Socket.IO server in the app and says so;
3. `readiness` asks each for an answer, and whether a message crosses from each to each other;
4. `balancer` starts nginx in front of them, with a configuration that `nginx_config` has written;
5. `crew` starts a worker again that has died, and restarts them one after the other; `front` does so for nginx;
6. `logs` has what all of them print; `cluster_shown` shows it all;
7. at the end `cluster` drains the workers, while nginx still passes on what they say, and ends nginx and the Redis.

A message of a client to a room: nginx passes it to one worker, whose Socket.IO server publishes it on Redis through its
client manager; each worker hears it there and sends it to the members that it has. `emitting` publishes from outside.

- Why was a worker started again? ``Cluster.events`` says how it had ended; ``cluster.log.tail(of="worker-2")`` what it
  had printed before.
- What happens on SIGTERM? A worker drains as any server of the lab (`rtlab.servers`), and is killed five seconds later.
- What does a worker know of its cluster? RTLAB_WORKER, RTLAB_SECRET and REDIS_URL, in its environment.
- Why does nothing outlive a kernel? Each process is a ``Child`` of `rtlab.servers` with a watchdog.
"""
