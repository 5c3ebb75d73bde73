// The app of `interop_app`, in JavaScript. Two servers share one port: /json/ and /msgpack/.

const left = {};
const leaving = (tag) => {
  if (!left[tag]) {
    let done;
    const promise = new Promise((resolve) => (done = resolve));
    left[tag] = { promise, done };
  }
  return left[tag];
};

function answer(socket) {
  const { auth } = socket.handshake;
  socket.on("disconnect", () => leaving(auth.tag).done());
  socket.on("echo", (...args) => args.pop()(...args));
  socket.on("send-back", (...args) => socket.emit("sent-back", ...args));
  socket.on("whoami", (ack) => ack(auth));
  socket.on("nothing", (ack) => ack());
  socket.on("ask", (...args) => {
    const ack = args.pop();
    socket.emit("question", ...args, (...answered) => ack(...answered));
  });
  socket.on("ask-in-vain", (ack) => {
    socket.timeout(200).emit("nobody answers", (error) => ack(error ? "timed out" : "answered"));
  });
  socket.on("join", (room, ack) => {
    socket.join(room);
    ack();
  });
  socket.on("shout", (room, ...args) => socket.to(room).emit("shouted", ...args));
  socket.on("let-go", () => socket.disconnect());
  socket.on("drop", () => socket.conn.close());
  socket.on("when-left", (tag, ack) => leaving(tag).promise.then(() => ack(true)));
}

for (const [path, parser] of [["json", undefined], ["msgpack", msgpackParser]]) {
  const server = new Server(httpServer, { path: `/${path}/`, parser, pingInterval: 1000 * interval });
  for (const namespace of ["/", "/custom"]) {
    server.of(namespace).use((socket, next) => {
      const error = new Error("no entry");
      error.data = { code: 7 };
      next(socket.handshake.auth.refuse ? error : undefined);
    });
    server.of(namespace).on("connection", answer);
  }
}
