// What the official JavaScript client does with a server, in every way that it can be set up. Each scenario raises an
// error where something is not as it should be. All of them run at the same time, each with connections of its own.

const WAYS = {
  "default": {},
  "polling": { transports: ["polling"] },
  "websocket": { transports: ["websocket"] },
  "MessagePack": { parser: msgpackParser },
  "MessagePack over polling": { parser: msgpackParser, transports: ["polling"] },
};
const VALUES = [null, true, 0, -1.5, "été 🎈 \u2028", [], {}, [[1], { a: [null] }]];

async function settled({ io: { engine, opts } }) {
  if (!opts.transports?.length || opts.transports.length > 1) {
    if (engine.transport.name !== "websocket") await once(engine, "upgrade");
  }
}

const scenarios = {
  async connects_and_is_told_its_id({ open }) {
    const socket = open();
    await once(socket, "connect");
    assert.equal(typeof socket.id, "string");
    assert.notEqual(socket.id, socket.io.engine.id);
  },
  async goes_over_to_websocket_while_it_talks({ open, options }) {
    const socket = open();
    const got = [];
    const all = new Promise((resolve) => socket.on("sent-back", (n) => got.push(n) === 200 && resolve()));
    await once(socket, "connect");
    for (let n = 0; n < 200; n++) {
      socket.emit("send-back", n);
      if (n % 20 === 0) await new Promise(setImmediate);
    }
    await all;
    assert.deepEqual(got, Array.from({ length: 200 }, (_, n) => n));
    await settled(socket);
    assert.equal(socket.io.engine.transport.name, options.transports?.[0] ?? "websocket");
    assert.equal(await socket.emitWithAck("echo", "goes on"), "goes on");
  },
  async what_is_said_before_it_is_connected_is_not_lost({ open }) {
    const socket = open();
    assert.equal(await socket.emitWithAck("echo", "early"), "early");
  },
  async events_carry_any_value({ open }) {
    const socket = open();
    for (const args of [[], VALUES]) {
      socket.emit("send-back", ...args);
      const got = await new Promise((resolve) => socket.once("sent-back", (...all) => resolve(all)));
      assert.deepEqual(got, args);
    }
  },
  async undefined_goes_through({ open }) {
    const [one, [two], three] = await new Promise((resolve) =>
      open().emit("echo", undefined, [undefined], 3, (...all) => resolve(all)),
    );
    assert.deepEqual([one ?? null, two ?? null, three], [null, null, 3]); // Node's MessagePack keeps it undefined
  },
  async acknowledgements_carry_any_value({ open }) {
    const socket = open();
    const got = await new Promise((resolve) => socket.emit("echo", ...VALUES, (...all) => resolve(all)));
    assert.deepEqual(got, VALUES);
    assert.deepEqual(await new Promise((resolve) => socket.emit("nothing", (...all) => resolve(all))), []);
  },
  async acknowledgements_time_out({ open }) {
    const socket = open();
    await once(socket, "connect");
    await assert.rejects(socket.timeout(100).emitWithAck("nobody listens", 1), /operation has timed out/);
    assert.equal(await socket.timeout(5000).emitWithAck("echo", "goes on"), "goes on");
  },
  async the_server_asks({ open }) {
    const socket = open();
    socket.on("question", (...args) => args.pop()(...args.reverse()));
    const got = await new Promise((resolve) => socket.emit("ask", 1, "two", (...all) => resolve(all)));
    assert.deepEqual(got, ["two", 1]);
    assert.equal(await socket.emitWithAck("ask-in-vain"), "timed out");
  },
  async binary_goes_both_ways({ open }) {
    const socket = open();
    const bytes = Buffer.from([0, 1, 254, 255]);
    const large = Buffer.alloc(50_000, 7);
    socket.emit("send-back", bytes, { deep: [large, "text"] }, Buffer.alloc(0));
    const got = await new Promise((resolve) => socket.once("sent-back", (...all) => resolve(all)));
    assert.deepEqual(Buffer.from(got[0]), bytes);
    assert.deepEqual(Buffer.from(got[1].deep[0]), large);
    assert.equal(got[1].deep[1], "text");
    assert.equal(got[2].length, 0);
  },
  async binary_is_acknowledged_both_ways({ open }) {
    const socket = open();
    assert.deepEqual(Buffer.from(await socket.emitWithAck("echo", Buffer.from("abc"))), Buffer.from("abc"));
    socket.on("question", (what, ack) => ack(Buffer.concat([Buffer.from(what), Buffer.from("!")])));
    assert.deepEqual(Buffer.from(await socket.emitWithAck("ask", Buffer.from("abc"))), Buffer.from("abc!"));
  },
  async a_burst_arrives_whole({ open }) {
    const socket = open();
    await once(socket, "connect");
    const got = await Promise.all(Array.from({ length: 100 }, (_, n) => socket.emitWithAck("echo", n)));
    assert.deepEqual(got, Array.from({ length: 100 }, (_, n) => n));
  },
  async auth_reaches_the_server({ open }) {
    const socket = open("/", { auth: (give) => give({ token: "123", deep: [null] }) });
    assert.deepEqual(await socket.emitWithAck("whoami"), { token: "123", deep: [null] });
  },
  async a_refusal_says_why({ open }) {
    for (const namespace of ["/", "/custom"]) {
      const error = await once(open(namespace, { auth: { refuse: true } }), "connect_error");
      assert.equal(error.message, "no entry");
      assert.deepEqual(error.data, { code: 7 });
    }
  },
  async an_unknown_namespace_is_refused({ open }) {
    const error = await once(open("/nowhere"), "connect_error");
    assert.equal(error.message, "Invalid namespace");
  },
  async namespaces_share_a_connection({ open }) {
    const main = open();
    const custom = main.io.socket("/custom");
    assert.equal(await main.emitWithAck("echo", 1), 1);
    assert.equal(await custom.emitWithAck("echo", 2), 2);
    assert.notEqual(main.id, custom.id);
    main.disconnect();
    assert.equal(await custom.emitWithAck("echo", 3), 3);
    main.connect();
    assert.equal(await main.emitWithAck("echo", 4), 4);
  },
  async a_room_hears_a_shout({ open, tag }) {
    const [one, two, three] = [open(), open(), open()];
    await Promise.all([one, two].map((socket) => socket.emitWithAck("join", tag)));
    await three.emitWithAck("echo", 1);
    three.on("shouted", () => assert.fail("it is not in the room"));
    one.emit("shout", tag, "hello", Buffer.from([9]));
    const [word, bytes] = await once(two, "shouted");
    assert.deepEqual([word, ...bytes], ["hello", 9]);
    await three.emitWithAck("echo", 2);
  },
  async the_client_leaves({ open, tag }) {
    const socket = open("/", { auth: { tag } });
    await once(socket, "connect");
    const gone = once(socket, "disconnect");
    socket.disconnect();
    assert.equal((await gone)[0], "io client disconnect");
    assert.equal(await open().emitWithAck("when-left", tag), true);
  },
  async the_connection_is_cut({ open, tag }) {
    const socket = open("/", { auth: { tag } });
    await once(socket, "connect");
    socket.io.engine.close();
    assert.equal(await open().emitWithAck("when-left", tag), true);
  },
  async the_server_lets_go({ open }) {
    const socket = open();
    await once(socket, "connect");
    socket.emit("let-go");
    assert.equal((await once(socket, "disconnect"))[0], "io server disconnect");
    socket.connect();
    assert.equal(await socket.emitWithAck("echo", "back"), "back");
  },
  async a_lost_connection_comes_back({ open }) {
    const socket = open("/", { reconnection: true, reconnectionDelay: 10 });
    await once(socket, "connect");
    await settled(socket);
    const { id } = socket;
    socket.emit("drop");
    await once(socket, "disconnect");
    await once(socket, "connect");
    assert.notEqual(socket.id, id);
    assert.equal(await socket.emitWithAck("echo", "again"), "again");
  },
};

async function play(name, server, way) {
  const options = WAYS[way];
  const path = options.parser ? "/msgpack/" : "/json/";
  const opened = [];
  const open = (namespace = "/", more = {}) => {
    const socket = io(servers[server] + namespace, { reconnection: false, ...options, path, forceNew: true, ...more });
    opened.push(socket);
    return socket;
  };
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error("it does not end")), limit)));
  try {
    await Promise.race([scenarios[name]({ open, options, tag: `${name}, ${way}` }), late]);
    return null;
  } catch (error) {
    return error.stack;
  } finally {
    clearTimeout(timer);
    opened.forEach((socket) => socket.io._close());
  }
}

const wanted = plays.map(async ([name, server, way]) => [name, server, way, await play(name, server, way)]);
return Promise.all(wanted);
