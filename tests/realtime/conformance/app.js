// The app of `servers`, in JavaScript. Several Socket.IO servers share one port, each below a path of its own.

const entries = {};

function answer(socket) {
  const { tag } = socket.handshake.auth;
  const note = (what) => (entries[tag] ??= []).push([what, socket.nsp.name]);
  note("connect");
  socket.on("disconnect", () => note("disconnect"));
  socket.on("message", (...args) => socket.emit("message-back", ...args));
  socket.on("message-with-ack", (...args) => args.pop()(...args));
  socket.on("auth", (ack) => ack(socket.handshake.auth));
  socket.on("call-me", (...args) => {
    socket.emit("call", ...args, (...answered) => socket.emit("called", ...answered));
  });
  socket.on("let-go", () => socket.disconnect());
  socket.on("hang-up", () => socket.disconnect(true));
  socket.on("entries", (wanted, ack) => ack(entries[wanted] ?? []));
}

for (const [path, options] of Object.entries(configurations)) {
  const { msgpack, ...rest } = options;
  const server = new Server(httpServer, { ...rest, path: `/${path}/`, parser: msgpack ? msgpackParser : undefined });
  for (const namespace of namespaces) {
    server.of(namespace).on("connection", answer);
  }
  server.of("/closed").use((socket, next) => {
    const error = new Error("no entry");
    error.data = { code: 7 };
    next(error);
  });
}
