// The chat's contract, row by row, as the official JavaScript client meets it, in every way that it can be set up. Each
// scenario raises an error where something is not as it should be. They run at the same time, each with people and rooms
// of its own. Tokens are made here, by hand: nothing of the server's is needed for them.

const crypto = require("node:crypto");

const WAYS = {
  "default": {},
  "polling": { transports: ["polling"] },
  "websocket": { transports: ["websocket"] },
  "MessagePack": { parser: msgpackParser },
};
const NOTIFICATIONS = "/notifications";
let people = 0;

function token(username, seconds = 600, key = secret) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const said = `${part({ alg: "HS256" })}.${part({ sub: username, username, exp: Date.now() / 1000 + seconds })}`;
  return `${said}.${crypto.createHmac("sha256", key).update(said).digest("base64url")}`;
}

// Whatever was sent to a client before is here when this is.
async function all(socket, event) {
  await socket.emitWithAck("no such event", 1);
  const got = socket.heard.filter(([name]) => name === event).map(([, data]) => data);
  socket.heard = socket.heard.filter(([name]) => name !== event);
  return got;
}

async function next(socket, event) {
  for (;;) {
    const place = socket.heard.findIndex(([name]) => name === event);
    if (place >= 0) return socket.heard.splice(place, 1)[0][1];
    await new Promise((resolve) => (socket.wake = resolve));
  }
}

async function join(socket, room, after) {
  const ack = await socket.emitWithAck("chat:join", after === undefined ? room : { room, after });
  assert.equal(ack.status, "ok", ack.message);
  return { ...ack, history: await next(socket, "chat:history") };
}

const say = (socket, room, text, more = {}) => socket.emitWithAck("chat:message", { room, text, ...more });
const post = (url, body) => fetch(url, { method: "POST", body: JSON.stringify(body) });
const place = ({ offset }) => offset.split("-").map(Number);
const later = (one, other) => place(one)[0] - place(other)[0] || place(one)[1] - place(other)[1];

const scenarios = {
  async a_session_for_everybody({ enter }) {
    const [alice, bob] = [await enter(), await enter()];
    const [one, other] = [await next(alice, "session"), await next(bob, "session")];
    assert.deepEqual(Object.keys(one), ["id"]);
    assert.notEqual(one.id, other.id);
    assert.deepEqual(await all(alice, "session"), []);
  },
  async join_by_name_and_by_object({ enter, room }) {
    const [alice, bob] = [await enter(), await enter()];
    const ack = await alice.emitWithAck("chat:join", room);
    assert.match(ack.offset, /^\d+-\d+$/);
    delete ack.offset;
    assert.deepEqual(ack, { status: "ok", room, members: [alice.who], missed: 0, complete: true, lost: false });
    assert.deepEqual(alice.heard.at(-1), ["chat:history", []]); // before the acknowledgement
    const both = await bob.emitWithAck("chat:join", { room });
    delete both.offset;
    assert.deepEqual(both, { ...ack, members: [alice.who, bob.who].sort() });
    assert.deepEqual(await all(alice, "chat:userJoined"), [{ username: bob.who, room }]);
    assert.deepEqual(await all(bob, "chat:userJoined"), []);
  },
  async the_last_50_and_what_came_after_an_offset({ enter, room }) {
    const [alice, bob] = [await enter(), await enter()];
    await join(alice, room);
    const acks = await Promise.all(Array.from({ length: 120 }, (_, n) => say(alice, room, `${n}`)));
    const texts = ({ history }) => history.map(({ text }) => Number(text));
    const range = (from, to) => Array.from({ length: to - from }, (_, n) => from + n);
    assert.deepEqual(texts(await join(bob, room)), range(70, 120));
    for (const [after, from, to, missed, complete] of [
      [119, 0, 0, 0, true], [109, 110, 120, 10, true], [69, 70, 120, 50, true],
      [68, 69, 119, 51, false], [118, 119, 120, 1, true], [19, 20, 70, 100, false], [18, 20, 70, 100, false],
    ]) {
      const joined = await join(bob, room, acks[after].offset);
      assert.deepEqual([texts(joined), joined.missed, joined.complete], [range(from, to), missed, complete], after);
    }
    assert.equal((await join(bob, `${room}, unknown`, "12-0")).complete, false);
  },
  async what_is_said_while_one_joins_comes_once_or_twice_but_not_never({ enter, room }) {
    const [alice, bob] = [await enter(), await enter()];
    await join(alice, room);
    const said = [];
    const talking = (async () => {
      for (let n = 0; n < 60; n++) said.push((await say(alice, room, `${n}`)).offset);
    })();
    const first = await join(bob, room);
    await talking;
    const got = [...first.history, ...(await all(bob, "chat:message"))].sort(later);
    assert.deepEqual([...new Set(got.map(({ offset }) => offset))], said);
  },
  async users_come_and_go_not_connections({ enter, room }) {
    const [alice, one] = [await enter(), await enter()];
    const two = await enter({ name: one.who });
    await join(alice, room);
    await join(one, room);
    assert.deepEqual((await join(two, room)).members, [alice.who, one.who].sort());
    assert.deepEqual(await all(alice, "chat:userJoined"), [{ username: one.who, room }]);
    await one.emitWithAck("chat:leave", room);
    assert.deepEqual(await all(alice, "chat:userLeft"), []);
    two.disconnect();
    assert.deepEqual(await next(alice, "chat:userLeft"), { username: one.who, room });
  },
  async leave_is_idempotent({ enter, room }) {
    const [alice, bob] = [await enter(), await enter()];
    await join(alice, room);
    await join(bob, room);
    for (let n = 0; n < 3; n++) assert.deepEqual(await bob.emitWithAck("chat:leave", room), { status: "ok" });
    assert.deepEqual(await all(alice, "chat:userLeft"), [{ username: bob.who, room }]);
    await say(alice, room, "he is gone");
    assert.deepEqual(await all(bob, "chat:message"), []);
  },
  async a_cut_connection_leaves_every_room({ enter, room }) {
    const [alice, bob] = [await enter(), await enter()];
    for (const socket of [alice, bob]) {
      await join(socket, room);
      await join(socket, `${room}, too`);
      await socket.emitWithAck("room:join", room);
    }
    bob.io.engine.close();
    const gone = [await next(alice, "chat:userLeft"), await next(alice, "chat:userLeft")];
    assert.deepEqual(gone.map((each) => each.room).sort(), [room, `${room}, too`]);
    assert.deepEqual(await next(alice, "room:userLeft"), { user: bob.who, room });
  },
  async a_message_goes_to_the_whole_room({ enter, room }) {
    const [alice, bob, carol] = [await enter(), await enter(), await enter()];
    await join(alice, room);
    await join(bob, room);
    const before = Date.now();
    const { id, offset, ...rest } = await say(alice, room, " été 🎈\n");
    assert.deepEqual(rest, { status: "ok" });
    for (const socket of [alice, bob]) {
      const [{ timestamp, ...message }] = await all(socket, "chat:message");
      assert.ok(before <= timestamp && timestamp <= Date.now());
      assert.deepEqual(message, { id, offset, username: alice.who, text: " été 🎈\n", room });
    }
    assert.deepEqual(await all(carol, "chat:message"), []);
    assert.equal((await say(carol, room, "x")).code, "not_a_member");
    assert.equal((await carol.emitWithAck("chat:typing", room)).code, "not_a_member");
  },
  async everybody_hears_the_same_order({ enter, room }) {
    const [alice, bob] = [await enter(), await enter()];
    await join(alice, room);
    await join(bob, room);
    await Promise.all(Array.from({ length: 20 }, (_, n) => [say(alice, room, `${n}`), say(bob, room, `${n}`)]).flat());
    const heard = await all(alice, "chat:message");
    assert.deepEqual(await all(bob, "chat:message"), heard);
    assert.deepEqual([...heard].sort(later), heard);
    const own = heard.filter(({ username }) => username === bob.who).map(({ text }) => Number(text));
    assert.deepEqual(own, Array.from({ length: 20 }, (_, n) => n));
  },
  async a_client_id_has_one_effect({ enter, room }) {
    const [alice, bob] = [await enter(), await enter()];
    const tab = await enter({ name: alice.who });
    for (const socket of [alice, bob, tab]) await join(socket, room);
    const ack = await say(alice, room, "once", { clientId: "c1" });
    assert.deepEqual(await say(alice, room, "once", { clientId: "c1" }), ack);
    assert.deepEqual(await say(tab, room, "once", { clientId: "c1" }), ack);
    assert.notEqual((await say(bob, room, "somebody else's", { clientId: "c1" })).id, ack.id);
    const heard = await all(bob, "chat:message");
    assert.deepEqual(heard.map(({ text, clientId }) => [text, clientId]), [["once", "c1"], ["somebody else's", "c1"]]);
  },
  async typing_is_told_to_the_others_and_not_too_often({ enter, room }) {
    const [alice, bob] = [await enter(), await enter()];
    const tab = await enter({ name: alice.who });
    for (const socket of [alice, bob, tab]) await join(socket, room);
    const notice = { username: alice.who, room };
    const began = Date.now();
    for (const socket of [alice, tab, alice]) await socket.emitWithAck("chat:typing", room);
    const heard = await all(bob, "chat:typing");
    assert.deepEqual(heard[0], notice);
    if (Date.now() - began < 2000) assert.equal(heard.length, 1);
    await new Promise((resolve) => setTimeout(resolve, 2050));
    await tab.emitWithAck("chat:typing", room);
    assert.deepEqual(await all(bob, "chat:typing"), [notice]);
    assert.deepEqual([await all(alice, "chat:typing"), await all(tab, "chat:typing")], [[], []]);
  },
  async plain_rooms_are_a_space_of_their_own({ enter, room }) {
    const [alice, bob, carol] = [await enter(), await enter(), await enter()];
    await join(alice, room);
    for (const socket of [bob, carol, carol]) {
      assert.deepEqual(await socket.emitWithAck("room:join", room), { status: "ok" });
    }
    assert.deepEqual(await all(bob, "room:userJoined"), [{ user: carol.who, room }]);
    for (const _ of [1, 2]) assert.deepEqual(await carol.emitWithAck("room:leave", room), { status: "ok" });
    assert.deepEqual(await all(bob, "room:userLeft"), [{ user: carol.who, room }]);
    assert.equal((await say(bob, room, "x")).code, "not_a_member");
    await say(alice, room, "in the chat");
    assert.deepEqual([await all(bob, "chat:message"), await all(alice, "room:userJoined")], [[], []]);
  },
  async a_session_is_restored_for_its_own_user_only({ enter, room }) {
    const [alice, bob, mallory] = [await enter(), await enter(), await enter()];
    for (const socket of [alice, bob]) await join(socket, room);
    await alice.emitWithAck("room:join", `${room}, desk`);
    const { id } = await next(alice, "session");
    alice.disconnect();
    await next(bob, "chat:userLeft");
    for (const each of [id, "nobody's"]) {
      assert.equal((await mallory.emitWithAck("session:restore", each)).code, "unknown_session");
    }
    assert.deepEqual(await all(bob, "chat:userJoined"), []);
    const back = await enter({ name: alice.who });
    const ack = await back.emitWithAck("session:restore", id);
    assert.deepEqual(ack, { status: "ok", rooms: [room, `${room}, desk`] });
    assert.deepEqual(back.heard.at(-1), ["session:restored", { rooms: ack.rooms }]);
    assert.deepEqual(await all(bob, "chat:userJoined"), [{ username: alice.who, room }]);
    assert.equal((await say(back, room, "hello again")).status, "ok");
    assert.equal((await next(bob, "chat:message")).text, "hello again");
  },
  async notifications_share_the_connection({ enter, beside, room, url }) {
    const [alice, bob] = [await enter(), await enter({ namespace: NOTIFICATIONS })];
    const news = beside(alice, NOTIFICATIONS);
    const topics = [`${room}, a`, `${room}, b`];
    assert.deepEqual(await news.emitWithAck("subscribe", [topics[0]]), { status: "ok", topics: [topics[0]] });
    await bob.emitWithAck("subscribe", [topics[1]]);
    assert.deepEqual(await bob.emitWithAck("subscribe", [topics[0]]), { status: "ok", topics });
    for (const topic of topics) await post(`${url}/test/notify`, { topic, data: { n: 1, topic: "forged" } });
    assert.deepEqual(await all(news, "notification"), [{ topic: topics[0], n: 1 }]);
    assert.deepEqual(await all(bob, "notification"), topics.map((topic) => ({ topic, n: 1 })));
    assert.deepEqual(await all(alice, "notification"), []);
    const ack = await bob.emitWithAck("unsubscribe", [topics[0]]);
    assert.deepEqual(ack, { status: "ok", topics: [topics[1]] });
    assert.deepEqual(await bob.emitWithAck("subscribe", []), ack); // no topics are not all topics
    await post(`${url}/test/notify`, { topic: topics[0], data: {} });
    assert.deepEqual(await all(bob, "notification"), []);
  },
  async an_unknown_namespace({ open }) {
    assert.equal((await once(open("/nowhere", token("x")), "connect_error")).message, "Invalid namespace");
  },
  async refusals_in_every_namespace({ open }) {
    for (const namespace of ["/", NOTIFICATIONS]) {
      for (const [given, message, code] of [
        [undefined, "Authentication required", "token_missing"],
        ["", "Authentication required", "token_missing"],
        ["x.y.z", "Invalid token", "token_invalid"],
        [token("alice", 600, "another secret, longer than 32 bytes"), "Invalid token", "token_invalid"],
        [token("alice", -1), "Invalid token", "token_expired"],
      ]) {
        const error = await once(open(namespace, given), "connect_error");
        assert.deepEqual([error.message, error.data], [message, { code }]);
      }
    }
  },
  async one_namespace_does_not_open_the_other({ enter, beside }) {
    const alice = await enter();
    const news = beside(alice, NOTIFICATIONS, { auth: {} });
    assert.equal((await once(news, "connect_error")).message, "Authentication required");
    const error = await once(beside(await enter({ namespace: NOTIFICATIONS }), "/", { auth: {} }), "connect_error");
    assert.equal(error.message, "Authentication required");
    assert.equal((await alice.emitWithAck("chat:leave", "x")).status, "ok");
  },
  async each_namespace_ends_with_its_own_token({ enter, beside, room }) {
    const [alice, bob] = [await enter({ seconds: short }), await enter()];
    const long = beside(alice, NOTIFICATIONS);
    const brief = beside(bob, NOTIFICATIONS, { auth: { token: token(bob.who, short) } });
    const ends = Promise.all([once(alice, "disconnect"), once(brief, "disconnect")]);
    await Promise.all([join(alice, room), join(bob, room)]);
    const [ended, stopped] = await ends;
    assert.deepEqual([ended[0], stopped[0]], ["io server disconnect", "io server disconnect"]);
    assert.deepEqual(await next(bob, "chat:userLeft"), { username: alice.who, room });
    assert.equal((await long.emitWithAck("subscribe", ["x"])).status, "ok");
    alice.auth = { token: token(alice.who) }; // and one comes back with a new token
    alice.connect();
    assert.equal((await alice.emitWithAck("chat:join", room)).status, "ok");
  },
  async a_newer_token_lets_one_stay_in_both({ enter, beside }) {
    const alice = await enter({ seconds: short });
    const news = beside(alice, NOTIFICATIONS, { auth: { token: token(alice.who, short) } });
    const ack = await news.emitWithAck("token:refresh", token(alice.who, 1000));
    assert.equal(ack.status, "ok");
    assert.ok(ack.exp > Date.now() / 1000 + 900);
    assert.equal((await alice.emitWithAck("token:refresh", token("mallory"))).code, "token_invalid");
    assert.equal((await alice.emitWithAck("token:refresh", token(alice.who, -1))).code, "token_expired");
    await once(await enter({ seconds: short }), "disconnect"); // which ends after the first tokens would have
    assert.equal((await alice.emitWithAck("chat:leave", "x")).status, "ok");
    assert.equal((await news.emitWithAck("subscribe", [])).status, "ok");
  },
  async what_is_wrong_is_acknowledged_and_ends_nothing({ enter, beside, room }) {
    const alice = await enter();
    const news = beside(alice, NOTIFICATIONS);
    for (const [socket, event, ...payload] of [
      [alice, "chat:join"], [alice, "chat:join", null], [alice, "chat:join", room, "more"],
      [alice, "chat:message", { room }], [alice, "chat:message", Buffer.from("x")], [alice, "chat:typing", [room]],
      [alice, "chat:leave", undefined], [alice, "room:join", 7], [alice, "room:leave", {}],
      [alice, "session:restore", { id: 1 }], [alice, "token:refresh", [[]]],
      [news, "subscribe", "news"], [news, "unsubscribe", [Buffer.alloc(3)]],
    ]) {
      const ack = await socket.emitWithAck(event, ...payload);
      assert.deepEqual(Object.keys(ack).sort(), ["code", "message", "status"], event);
      assert.deepEqual([ack.status, ack.code], ["error", "bad_payload"], event);
      assert.match(ack.message, /^[\w[\]]+: expected .+, got .+/);
    }
    for (const [socket, event] of [[alice, "subscribe"], [news, "chat:join"], [news, "*"], [alice, "toString"]]) {
      assert.equal((await socket.emitWithAck(event, room)).code, "unknown_event");
    }
    assert.equal((await join(alice, room)).status, "ok");
  },
  async nobody_has_to_ask_for_an_acknowledgement({ enter, room }) {
    const [alice, bob] = [await enter(), await enter()];
    await join(bob, room);
    alice.emit("chat:join", room);
    alice.emit("chat:message", { room, text: "x" });
    alice.emit("chat:typing", room);
    alice.emit("chat:message", null);
    alice.emit("no such event");
    alice.emit("chat:leave", room);
    await next(bob, "chat:userLeft");
    const events = bob.heard.map(([event]) => event);
    assert.deepEqual(events, ["session", "chat:userJoined", "chat:message", "chat:typing"]);
  },
  async a_reserved_name_ends_the_connection({ enter, beside, room, options }) {
    const bob = await enter();
    await join(bob, room);
    for (const name of ["connect", "disconnect", "disconnecting", "newListener"]) {
      const alice = await enter();
      const news = beside(alice, NOTIFICATIONS);
      await once(news, "connect");
      await join(alice, room);
      const gone = Promise.all([once(alice, "disconnect"), once(news, "disconnect")]);
      const encoded = options.parser
        ? new msgpackParser.Encoder().encode({ type: 2, nsp: "/", data: [name, "x"] })[0]
        : `2["${name}","x"]`;
      alice.io.engine.write(encoded);
      await gone;
      assert.equal((await next(bob, "chat:userLeft")).username, alice.who);
    }
  },
  async a_client_comes_back_by_itself_with_its_callable_auth({ enter, room }) {
    const tokens = [];
    const alice = await enter({
      reconnection: true, reconnectionDelay: 10,
      auth: (give) => give({ token: tokens[tokens.push(token("comes back")) - 1] }),
    });
    await join(alice, room);
    const { id } = await next(alice, "session");
    alice.io.engine.close();
    await next(alice, "session");
    assert.equal(tokens.length, 2);
    assert.deepEqual((await alice.emitWithAck("session:restore", id)).rooms, [room]);
  },
  async a_server_that_goes_says_so({ open, options, leaving }) {
    const alice = open("/", token("alice"), { url: leaving });
    await once(alice, "session");
    if (!options.transports && alice.io.engine.transport.name !== "websocket") await once(alice.io.engine, "upgrade");
    const told = once(alice, "server:draining");
    const gone = once(alice, "disconnect");
    await post(`${leaving}/test/leave`);
    assert.deepEqual(await told, {});
    const [reason, details] = await gone;
    if (options.transports?.[0] === "polling") {
      assert.match(reason, /^transport (close|error)$/); // the latter where it was between two requests
    } else {
      assert.deepEqual([reason, details.context.code], ["transport close", 1001]);
    }
  },
};

async function play(name, way) {
  const options = WAYS[way];
  const opened = [];
  const tag = `${name}, ${way}`;
  const url = options.parser ? servers.msgpack : servers.default;
  const listen = (socket) => {
    socket.heard = [];
    socket.onAny((...event) => {
      socket.heard.push(event);
      socket.wake?.();
    });
    return socket;
  };
  const open = (namespace, given, more = {}) => {
    const { url: where = url, ...rest } = more;
    const auth = given === undefined ? undefined : { token: given };
    const socket = io(where + namespace, { reconnection: false, auth, ...options, forceNew: true, ...rest });
    opened.push(socket);
    return listen(socket);
  };
  const enter = async ({ name: who = `person ${(people += 1)}`, namespace = "/", seconds = 600, ...more } = {}) => {
    const socket = open(namespace, token(who, seconds), more);
    socket.who = who;
    const error = await Promise.race([once(socket, "connect"), once(socket, "connect_error")]);
    if (error) throw error;
    return socket;
  };
  const beside = (socket, namespace, { auth = { token: token(socket.who) } } = {}) => {
    const other = socket.io.socket(namespace, { auth });
    return Object.assign(listen(other), { who: socket.who });
  };
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error("it does not end")), limit)));
  try {
    const room = `${name}, ${way}`.slice(-50);
    const about = { open, enter, beside, options, url, room, leaving: servers[`leaving, ${way}`] };
    await Promise.race([scenarios[name](about), late]);
    return null;
  } catch (error) {
    return error.stack;
  } finally {
    clearTimeout(timer);
    opened.forEach((socket) => socket.io._close());
  }
}

const all_of = (some) => Promise.all(some.map(async ([name, way]) => [name, way, await play(name, way)]));
const hurries = ([name]) => name.includes("token"); // tokens end while it plays, so it plays when the others are done
return [...(await all_of(plays.filter((each) => !hurries(each)))), ...(await all_of(plays.filter(hurries)))];
