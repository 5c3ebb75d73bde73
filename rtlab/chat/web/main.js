// The page: brings the parts together, and shows the door or the chat. What people see of the connection is here too.

import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { Connection, library } from "./connection.js";
import { Conversation } from "./conversation.js";
import { Credentials, fromFragment, keepRoomInFragment } from "./credentials.js";
import { byId, paintAvatar, say, show } from "./dom.js";
import { Drawer, PeopleList, RoomList } from "./panels.js";
import { SignIn } from "./sign_in.js";
import { inWords, whoTypes, whySignedOut } from "./words.js";
import { tidyName, whyNoName } from "./writing.js";

const TITLE = document.title;
/** Milliseconds that a problem stays in view. */
const PROBLEM_MS = 12_000;
const STATES = { connecting: "Connecting", connected: "Connected", retrying: "Not connected" };

let connection = null;
let credentials = null;
let wantedRoom = "";
let state = "connecting";
let attempt = 0;
let problemTimer = 0;

const view = {
  rooms: () => {
    roomList.update(chat.rooms, chat.current);
    const unread = [...chat.rooms.values()].reduce((sum, room) => sum + room.unread, 0);
    document.title = unread ? `(${unread}) ${TITLE}` : TITLE;
  },
  opened: (room) => openRoom(room),
  placed: (room, placed, fresh) => conversation.placed(room, placed, fresh),
  pending: (room) => conversation.pending(room),
  people: (room) => room === chat.current && peopleList.update(room, credentials.username),
  typing: (room) => room === chat.current && say(byId("typing"), whoTypes([...room.typing.keys()])),
  state: (room) => {
    conversation.pending(room);
    view.rooms();
    showTrouble();
  },
  draining: () => showTrouble(),
  problem: (problem, room) => complain(`${room.name}: ${inWords(problem)}`),
  sees: (room) => room === chat.current && !document.hidden && conversation.atEnd,
};

const chat = new Chat(view);
const conversation = new Conversation({
  retry: (room, entry) => chat.outbox.retry(room, entry),
  edit: (room, entry) => {
    chat.outbox.drop(room, entry);
    composer.text = composer.text ? `${entry.text}\n${composer.text}` : entry.text;
    composer.focus();
  },
  read: (room) => document.hidden || chat.seen(room),
});
const composer = new Composer({
  send: (text) => {
    if (!chat.say(chat.current, text)) return false;
    conversation.toEnd();
    return true;
  },
  typed: () => chat.typed(chat.current),
});
const roomList = new RoomList((name) => goTo(name));
const peopleList = new PeopleList();
const drawers = [new Drawer(byId("rooms"), byId("show-rooms")), new Drawer(byId("people"), byId("show-people"))];
const signIn = new SignIn((given) => enter(given));

// Doors

/** Go in with these credentials. */
async function enter(given) {
  let io;
  try {
    io = await library();
  } catch {
    return; // said below
  }
  connection?.close();
  if (credentials && credentials.user !== given.user) chat.reset();
  credentials = given;
  connection = new Connection(io, credentials, {
    state: (name, number) => setState(name, number),
    event: (name, payload) => chat.event(name, payload),
    refused: (code, message) => toDoor(whySignedOut(code, message)),
  });
  chat.attach(connection, credentials.username);
  connection.open();
}

function toDoor(reason = "") {
  for (const drawer of drawers) drawer.close(false);
  for (const part of ["starting", "chat"]) show(byId(part), false);
  show(byId("door"), true);
  document.title = TITLE;
  signIn.show(reason);
}

function toChat() {
  const entered = byId("chat").hidden;
  for (const part of ["starting", "door"]) show(byId(part), false);
  show(byId("chat"), true);
  signIn.clear();
  say(byId("my-name"), credentials.username);
  paintAvatar(byId("my-avatar"), credentials.username);
  if (wantedRoom) goTo(wantedRoom);
  else if (entered) openRoom(chat.current);
  wantedRoom = "";
}

function signOut() {
  connection?.close();
  connection = null;
  credentials = null;
  chat.reset();
  keepRoomInFragment("");
  toDoor();
}

// The connection

function setState(name, number) {
  const changed = state !== name;
  state = name;
  attempt = number;
  byId("chat").dataset.state = name;
  chat.state(name);
  if (name === "connected") toChat();
  else if (byId("chat").hidden && name === "retrying") {
    if (byId("door").hidden) toDoor();
    signIn.waiting("The server does not answer. Trying again …");
  }
  say(byId("state"), STATES[name]);
  if (changed && !byId("chat").hidden) say(byId("status"), STATES[name]);
  for (const room of chat.rooms.values()) conversation.pending(room);
  showTrouble();
}

/** What is in the way, over the conversation: nothing moves when it comes and goes. */
function showTrouble() {
  const room = chat.current;
  let text = "";
  if (state === "retrying") text = "No connection. Trying again";
  else if (state === "connecting") text = "Connecting";
  else if (chat.draining) text = "The server is about to restart. You will come back by yourself.";
  else if (room?.state === "out") text = `You are not in this room. ${inWords(room.problem)}`;
  say(byId("trouble-text"), text);
  say(byId("trouble-attempt"), state === "retrying" ? `(attempt ${Math.max(attempt, 1)})` : "");
  const button = byId("trouble-button");
  const focused = document.activeElement === button;
  show(button, state === "retrying" || (state === "connected" && room?.state === "out"));
  say(button, state === "retrying" ? "Try now" : "Join again");
  show(byId("trouble"), text !== "");
  if (focused && !button.checkVisibility() && room) composer.focus();
}

/** Say what went wrong, for a while. */
function complain(sentence) {
  clearTimeout(problemTimer);
  say(byId("problem"), sentence);
  if (sentence) problemTimer = setTimeout(() => complain(""), PROBLEM_MS);
}

// Rooms

/** Go to a room that somebody has chosen. */
function goTo(name) {
  complain("");
  for (const drawer of drawers) drawer.close(false);
  chat.open(name);
  if (!matchMedia("(pointer: coarse)").matches) composer.focus(); // a phone's keyboard would cover the conversation
}

let shown = null;

function openRoom(room) {
  if (shown && shown !== room) shown.draft = composer.text;
  if (shown !== room || !room) composer.open(room);
  shown = room;
  say(byId("room-name"), room?.name ?? "Welcome");
  for (const part of ["leave", "show-people"]) show(byId(part), room !== null);
  byId("chat").classList.toggle("no-room", room === null);
  conversation.open(room, credentials?.username ?? "");
  peopleList.update(room, credentials?.username);
  say(byId("typing"), room ? whoTypes([...room.typing.keys()]) : "");
  if (!byId("chat").hidden) keepRoomInFragment(room?.name ?? "");
  showTrouble();
}

function leave() {
  const room = chat.current;
  if (room.pending.length > 0 && !room.warned) {
    room.warned = true;
    complain("There are messages here that were not sent. Leave again to give them up.");
    return;
  }
  complain("");
  chat.leave(room);
  (chat.current ? byId("text") : byId("join-lobby")).focus();
}

// What people do

byId("join").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = byId("join-name");
  const name = tidyName(input.value);
  const fault = whyNoName(name);
  complain(fault);
  if (!name || fault) return input.focus();
  input.value = "";
  return goTo(name);
});
byId("join-lobby").addEventListener("click", () => goTo("lobby"));
byId("leave").addEventListener("click", leave);
byId("sign-out").addEventListener("click", signOut);
byId("trouble-button").addEventListener("click", () => {
  if (state === "retrying") connection.tryNow();
  else chat.enterAgain(chat.current);
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.defaultPrevented) complain("");
});
addEventListener("online", () => state === "retrying" && connection?.tryNow());
document.addEventListener("visibilitychange", () => {
  if (chat.current && view.sees(chat.current)) chat.seen(chat.current);
});
addEventListener("beforeunload", (event) => {
  if ([...chat.rooms.values()].some((room) => room.pending.length > 0)) event.preventDefault();
});
addEventListener("hashchange", () => start());

/** Begin with what stands in the address, which may change while the page is open. */
function start() {
  const { token, room } = fromFragment();
  if (!token) {
    if (room && !byId("chat").hidden) goTo(room);
    else wantedRoom = room;
    return false;
  }
  wantedRoom = room;
  try {
    enter(new Credentials(token));
  } catch (problem) {
    toDoor(inWords(problem));
  }
  return true;
}

if (start()) show(byId("starting"), byId("door").hidden);
else toDoor();
library().catch(() => {
  const outside = byId("client").src.startsWith(location.origin) ? "" : " from cdn.socket.io";
  toDoor(`Socket.IO's client could not be loaded${outside}. Without it there is no chat: reload when there is a network.`);
});
