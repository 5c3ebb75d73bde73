// Scenes of a chat of several workers, as the official JavaScript client meets it. The test plays one by its name. What
// only the test can do it is asked for: `ask("where", …)`, `ask("kill", …)`.

const crypto = require("node:crypto");

const ROOM = "lobby";

function token(username) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const said = `${part({ alg: "HS256" })}.${part({ sub: username, username, exp: Date.now() / 1000 + 900 })}`;
  return `${said}.${crypto.createHmac("sha256", secret).update(said).digest("base64url")}`;
}

const ask = async (what, body = {}) => {
  const answer = await fetch(`${control}/${encodeURIComponent(what)}`, { method: "POST", body: JSON.stringify(body) });
  assert.equal(answer.status, 200, `${what}: ${answer.status}`);
  return answer.json();
};
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function open(where, who, options = {}) {
  const socket = io(where, { reconnection: false, forceNew: true, auth: { token: token(who) }, ...options });
  socket.who = who;
  socket.heard = [];
  socket.onAny((...event) => {
    socket.heard.push(event);
    socket.wake?.();
  });
  return socket;
}

async function enter(...about) {
  const socket = open(...about);
  const error = await Promise.race([once(socket, "connect"), once(socket, "connect_error")]);
  if (error instanceof Error) throw error;
  return socket;
}

async function next(socket, event) {
  for (;;) {
    const place = socket.heard.findIndex(([name]) => name === event);
    if (place >= 0) return socket.heard.splice(place, 1)[0][1];
    await new Promise((resolve) => (socket.wake = resolve));
  }
}

// Whatever was sent to a client before is here when this is; what other workers sent before is in Redis, as is this.
async function all(socket, event) {
  await socket.emitWithAck("chat:message", { room: ROOM, text: "anything?" });
  const got = socket.heard.filter(([name]) => name === event).map(([, data]) => data);
  socket.heard = socket.heard.filter(([name]) => name !== event);
  return got;
}

async function join(socket, room = ROOM) {
  const ack = await socket.emitWithAck("chat:join", room);
  assert.equal(ack.status, "ok", ack.message);
  return ack;
}

const scenes = {
  // How many of nine clients of each kind get in. The test finds in Redis on which workers they are.
  async table() {
    const found = {};
    const transports = { polling: ["polling"], default: undefined, websocket: ["websocket"] };
    for (const [kind, given] of Object.entries(transports)) {
      for (const withCredentials of [false, true]) {
        const name = `${kind}${withCredentials ? " with cookies" : ""}`;
        const sockets = [];
        for (let number = 0; number < 9; number += 1) {
          const options = { withCredentials, ...(given ? { transports: given } : {}) };
          const socket = open(url, `${name} ${number}`, options);
          const ends = ["connect", "connect_error", "disconnect"].map((event) => once(socket, event));
          ends.push(new Promise((resolve) => socket.io.once("close", resolve)));
          await Promise.race(ends);
          sockets.push(socket);
        }
        // Whoever is in can speak, and not only now: each is asked after the last one has come.
        const speaking = sockets.map(async (socket) => {
          if (!socket.connected) return null;
          const ack = await socket.timeout(limit).emitWithAck("chat:join", ROOM).catch(() => null);
          return ack?.status === "ok" ? socket.who : null;
        });
        found[name] = (await Promise.all(speaking)).filter(Boolean);
        await ask("spread", { kind: name, users: found[name] });
        sockets.forEach((socket) => socket.disconnect());
        for (const { who } of sockets) while ((await ask("connections", { user: who })).count) await pause(20);
      }
    }
    return found;
  },

  // A user is here from the first connection to the last, on whatever workers they are.
  async presence() {
    const watchers = [];
    for (const [number, worker] of workers.entries()) watchers.push(await enter(worker, `watcher ${number}`));
    for (const each of watchers) await join(each);
    const heard = async (event) => {
      const names = [];
      for (const each of watchers) {
        names.push((await all(each, event)).map((data) => data.username).filter((name) => name === "both"));
      }
      return names;
    };
    const one = await enter(workers[0], "both");
    const other = await enter(workers[1], "both", { transports: ["polling"] });
    await Promise.all([join(one), join(other)]);
    const third = await enter(url, "both", { withCredentials: true });
    await join(third);
    for (const each of watchers) while ((await next(each, "chat:userJoined")).username !== "both");
    assert.deepEqual(await heard("chat:userJoined"), [[], [], []], "once for three connections");
    one.disconnect();
    third.disconnect();
    while ((await ask("connections", { user: "both" })).count > 1) await pause(20);
    assert.deepEqual(await heard("chat:userLeft"), [[], [], []], "one connection is still there");
    other.disconnect();
    for (const each of watchers) assert.deepEqual(await next(each, "chat:userLeft"), { username: "both", room: ROOM });
    assert.deepEqual(await heard("chat:userLeft"), [[], [], []], "once");
  },

  // A worker is killed. Who comes back at once has not left; who does not has left, for everybody, once and in time.
  async death() {
    const alice = await enter(url, "alice", { withCredentials: true, reconnection: true });
    const { worker } = await ask("where", { user: "alice" });
    const address = workers[Number(worker.split("-")[1]) - 1];
    const watchers = [];
    for (const [number, each] of workers.entries()) {
      if (each !== address) watchers.push(await enter(each, `watcher ${number}`));
    }
    const carol = await enter(address, "carol");
    for (const each of [alice, carol, ...watchers]) await join(each);
    const session = (await next(alice, "session")).id;
    const again = once(alice, "connect");
    const killed = Date.now();
    await ask("kill", { worker });
    await again;
    const restored = await alice.emitWithAck("session:restore", session);
    assert.deepEqual([restored.status, restored.rooms], ["ok", [ROOM]]);
    const now = (await ask("where", { user: "alice", but: worker })).worker;
    assert.notEqual(now, worker);
    for (const each of watchers) assert.deepEqual(await next(each, "chat:userLeft"), { username: "carol", room: ROOM });
    const told = (Date.now() - killed) / 1000;
    await alice.emitWithAck("chat:message", { room: ROOM, text: "here I am" });
    for (const each of watchers) {
      while ((await next(each, "chat:message")).username !== "alice");
      assert.deepEqual(await all(each, "chat:userLeft"), [], "carol once, alice never");
    }
    assert.deepEqual((await join(watchers[0])).members, ["alice", ...watchers.map((each) => each.who)]);
    return { told };
  },

  // Redis is away for a while. Everybody writes all the time and counts what was answered.
  async without_redis() {
    const people = [];
    for (const [number, worker] of workers.entries()) people.push(await enter(worker, `writer ${number}`));
    people.push(await enter(url, "behind nginx", { withCredentials: true, transports: ["polling"] }));
    for (const each of people) await join(each);
    const said = { before: [], between: [], meanwhile: [], after: [] };
    const codes = {};
    let phase = "before";
    let longest = 0;
    const write = async (socket) => {
      for (let number = 0; phase !== "over"; number += 1) {
        const [begun, asked] = [phase, Date.now()];
        const ack = await socket.timeout(limit).emitWithAck("chat:message", { room: ROOM, text: `${phase} ${number}` });
        longest = Math.max(longest, (Date.now() - asked) / 1000);
        if (ack.status === "ok") said[begun].push(ack.id);
        else codes[ack.code] = (codes[ack.code] ?? 0) + 1;
        await pause(30);
      }
    };
    const writing = people.map(write);
    const some = async (condition) => {
      while (!condition()) await pause(10);
    };
    await some(() => said.before.length >= 20);
    phase = "between";
    await ask("take away");
    phase = "meanwhile";
    await some(() => (codes.unavailable ?? 0) >= 20);
    const health = await ask("health");
    assert.deepEqual(health.ready, [503, 503, 503]);
    await ask("give back");
    const back = Date.now();
    while ((await ask("health")).ready.some((status) => status !== 200)) await pause(20);
    const regained = (Date.now() - back) / 1000;
    phase = "after";
    await some(() => said.after.length >= 20);
    phase = "over";
    await Promise.all(writing);
    await all(people[0], "chat:history");
    const kept = new Set();
    let after = "0-0";
    for (;;) {
      const ack = await people[0].emitWithAck("chat:join", { room: ROOM, after });
      const page = await next(people[0], "chat:history");
      page.forEach(({ id }) => kept.add(id));
      if (ack.complete || !page.length) break;
      after = page.at(-1).offset;
    }
    const missing = (ids) => ids.filter((id) => !kept.has(id)).length;
    const lost = Object.fromEntries(Object.entries(said).map(([when, ids]) => [when, missing(ids)]));
    return { longest, codes, regained, lost, said: Object.values(said).map((ids) => ids.length) };
  },
};

const late = new Promise((_, reject) => setTimeout(() => reject(new Error("it does not end")), limit));
return Promise.race([scenes[scene](), late]);
