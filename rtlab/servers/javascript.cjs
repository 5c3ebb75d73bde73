// The program in a Node child that runs one script of the reader's. Started by `javascript` (the Python module) only.
//
//     node javascript.cjs TASK_FD RESULT_FD [LISTENER_FD READY_FD]
//
// TASK_FD holds JSON: the script, its values, and the folder from which packages are found. What came of it, JSON too,
// goes to RESULT_FD. With a listening socket the script is a server: `httpServer` listens on it once the script has
// returned, and one byte on READY_FD says so.
//
// What a script has at hand are properties of globalThis, loaded on first use. So a script may declare the same name
// itself, as `const io = new Server(httpServer)` does.

"use strict";

const fs = require("node:fs");
const { createRequire } = require("node:module");
const { inspect } = require("node:util");
const vm = require("node:vm");

const [taskFd, resultFd, listenerFd, readyFd] = process.argv.slice(2).map(Number);
const isServer = listenerFd !== undefined;
const { script, values, folder } = JSON.parse(fs.readFileSync(taskFd, "utf8"));

// The reader's script is the only file of this name in a stack, and its first line is line 1.
const NAME = "script.js";

let told = false;

function tell(result) {
  const text = JSON.stringify(result); // may raise an error, for a BigInt or a circle
  if (!told) {
    told = true;
    fs.writeSync(resultFd, text);
  }
}

function giveUp(error, line = null) {
  tell({ error, line });
  process.exit(1);
}

function fail(thrown) {
  const isError = thrown instanceof Error || typeof thrown?.stack === "string";
  const stack = isError ? String(thrown.stack) : "";
  const line = new RegExp(`${NAME.replace(".", "\\.")}:(\\d+)`).exec(stack);
  giveUp(isError ? `${thrown.name}: ${thrown.message}` : inspect(thrown), line ? Number(line[1]) : null);
}

// From Node's EventEmitter and from the client's emitter alike: what the event brings, as an array if it is several.
function once(emitter, event) {
  return new Promise((resolve) => {
    const take = (...given) => resolve(given.length > 1 ? given : given[0]);
    if (typeof emitter.once === "function") {
      emitter.once(event, take);
    } else {
      emitter.addEventListener(event, take, { once: true });
    }
  });
}

const requireHere = createRequire(`${folder}/`);
const atHand = {
  io: () => requireHere("socket.io-client").io,
  Server: () => requireHere("socket.io").Server,
  WebSocket: () => requireHere("ws").WebSocket,
  msgpackParser: () => requireHere("socket.io-msgpack-parser"),
  http: () => require("node:http"),
  assert: () => require("node:assert/strict"),
  require: () => requireHere,
  once: () => once,
};
for (const [name, load] of Object.entries(atHand)) {
  let loaded;
  Object.defineProperty(globalThis, name, { configurable: true, get: () => (loaded ??= load()) });
}
for (const [name, value] of Object.entries(values)) {
  Object.defineProperty(globalThis, name, { configurable: true, value });
}

let httpServer;
if (isServer) {
  httpServer = require("node:http").createServer();
  Object.defineProperty(globalThis, "httpServer", { configurable: true, value: httpServer });
}

process.on("uncaughtException", fail);
process.on("beforeExit", () => {
  if (!told) {
    giveUp("it waits for something that can no longer come: nothing is open, and no timer runs");
  }
});
process.on("exit", () => tell({ error: "it called process.exit", line: null }));

async function main() {
  // The wrapper stands on line 0, so that the script begins on line 1.
  const wrapped = `"use strict"; (async () => {\n${script}\n})`;
  const value = await new vm.Script(wrapped, { filename: NAME, lineOffset: -1 }).runInThisContext()();
  if (!isServer) {
    tell({ value: value instanceof Error ? String(value) : value }); // by itself an Error becomes {}
    process.exit(0); // whatever the script left open
  }
  await new Promise((resolve) => httpServer.listen({ fd: listenerFd }, resolve));
  tell({});
  // From now on an uncaught exception ends the process as it would anywhere: it is in the log.
  process.removeListener("uncaughtException", fail);
  process.removeAllListeners("beforeExit");
  fs.writeSync(readyFd, "1");
  fs.closeSync(readyFd);
}

main().catch(fail);
